import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { RunError, run, start } from '../../shared/run.ts';
import { keepSpares, takeSpare } from '../../shared/spare.ts';

/** Processes of this one that wait to become a tool. */
const waiting = (): number[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .split(' ')
    .map(Number)
    .filter((pid) => pid > 0 && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('spare.pl'));
const ready = async (count: number) => {
  keepSpares(count);
  while (waiting().length < count) await sleep(5);
};
afterEach(async () => {
  for (let one = takeSpare(['true'], ''); one; one = takeSpare(['true'], '')) await once(one, 'close');
});

describe.each([
  ['of its own', 0],
  ['that was there', 1],
])('a tool in a process %s', (_what, spares) => {
  test('says what it says, whatever its arguments and its input are', async () => {
    await ready(spares);
    const before = waiting();
    const odd = ['a b', '', '$HOME;*', 'ä\n', '-x', '"'];
    const script = 'cat; printf "%s|" "$@"; echo $$ $LC_ALL >&2; exit 3';
    const said = await run(['sh', '-c', script, 'sh', ...odd], { input: 'first\n', okCodes: [3] });
    expect(said).toMatchObject({ code: 3, stdout: `first\n${odd.join('|')}|` });
    const [pid = '', language] = said.stderr.trim().split(' ');
    expect(language).toBe('C');
    expect(before.includes(Number(pid))).toBe(spares > 0);
  });
  test('has nothing on its standard input unless it was given', async () => {
    await ready(spares);
    expect(await run(['cat'])).toMatchObject({ code: 0, stdout: '' });
  });
  test('that fails, is not there, takes too long or is cancelled, is told in the same sentences', async () => {
    const reason = async (argv: string[], more: Parameters<typeof run>[1] = {}) => {
      await ready(spares);
      const error = await run(argv, more).catch((failed: unknown) => failed);
      expect(error).toBeInstanceOf(RunError);
      return (error as RunError).message;
    };
    expect(await reason(['sh', '-c', 'echo no >&2; exit 4'])).toBe('sh ended with exit code 4: no');
    expect(await reason(['vs-none-such'])).toMatch(/^vs-none-such is not installed on this host/);
    expect(await reason(['sh', '-c', 'kill -9 $$'])).toBe('sh was killed by SIGKILL');
    expect(await reason(['sleep', '9'], { timeoutMs: 50 })).toBe('sleep did not end within 0.05 s');
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 50);
    expect(await reason(['sleep', '9'], { signal: abort.signal })).toBe('sleep was stopped');
  });
  test('whose streams are used gets what is written, and ends when it is told to', async () => {
    await ready(spares);
    const abort = new AbortController();
    const child = start(['cat'], { stdio: ['pipe', 'pipe', 'ignore'], signal: abort.signal });
    child.on('error', () => undefined);
    child.stdin?.write('x');
    expect(String((await once(child.stdout as NodeJS.ReadableStream, 'data'))[0])).toBe('x');
    abort.abort();
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  });
});

test('what has a NUL in an argument, an environment or a directory of its own takes none of those that wait', async () => {
  await ready(1);
  await expect(run(['echo', 'a\0b'])).rejects.toThrow();
  expect((await run(['sh', '-c', 'echo $X'], { env: { X: '1' } })).stdout).toBe('1\n');
  expect((await run(['pwd'], { cwd: '/' })).stdout).toBe('/\n');
  expect(waiting()).toHaveLength(1);
});

test('one that was killed meanwhile is none', async () => {
  await ready(1);
  process.kill(waiting()[0] ?? 0, 'SIGKILL');
  while (waiting().length > 0) await sleep(5);
  await sleep(20);
  expect((await run(['echo', 'x'])).stdout).toBe('x\n');
});
