import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { harmless } from '../../cli/verbs/logs.ts';
import {
  CONSOLE_SIZE,
  beginConsole,
  consoleFiles,
  forgetConsole,
  lastLines,
  showConsole,
} from '../../services/host-agent/console.ts';
import type { Args } from '../../shared/contract/commands.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-console-'));
afterAll(() => rmSync(directory, { recursive: true }));
const file = join(directory, 'web1.console');
beforeEach(() => forgetConsole(file));

/** What is shown, as text, and how much was left out. */
async function show(
  args: Omit<Args<'host-agent.logs'>, 'name'> = {},
  meanwhile: (said: () => string) => Promise<void> = async () => undefined,
) {
  const parts: Buffer[] = [];
  let left = 0;
  const given = new AbortController();
  const progress = (data: Record<string, unknown>) => {
    if (typeof data['data'] === 'string') parts.push(Buffer.from(data['data'], 'base64'));
    if (typeof data['left'] === 'number') left += data['left'];
  };
  const said = () => Buffer.concat(parts).toString();
  const call = { id: 'a', issuer: 'root', signal: given.signal, progress };
  const shown = showConsole(file, args, call, async () => undefined);
  await meanwhile(said);
  given.abort();
  const { next } = await shown;
  return { text: said(), left, next, parts };
}
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what() && tries < 500; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(what()).toBe(true);
}

test('the last lines, also without a newline at the end', () => {
  const last = (text: string, lines: number) => lastLines(Buffer.from(text), lines).toString();
  expect(last('a\nb\nc\n', 2)).toBe('b\nc\n');
  expect(last('a\nb\nc', 2)).toBe('b\nc');
  expect(last('a\nb\n', 5)).toBe('a\nb\n');
  expect(last('a\nb\n', 0)).toBe('');
  expect(last('', 3)).toBe('');
  expect(last('\n\n', 1)).toBe('\n');
});

test('LXC takes only a power of 2', () => {
  expect(Math.log2(CONSOLE_SIZE) % 1).toBe(0);
});

test('what was written before the last start is kept aside, and left out with boot', async () => {
  writeFileSync(`${file}.1`, 'one\n');
  writeFileSync(file, 'two\n');
  await beginConsole(file);
  expect(existsSync(file)).toBe(false);
  await beginConsole(file); // a start that came to nothing keeps it
  writeFileSync(file, 'three\nfour\n');
  expect((await show()).text).toBe('one\ntwo\nthree\nfour\n');
  expect((await show({ lines: 3 })).text).toBe('two\nthree\nfour\n');
  expect((await show({ boot: true })).text).toBe('three\nfour\n');
  await beginConsole(file);
  expect((await show()).text).toBe('three\nfour\n');
  await forgetConsole(file);
  const { before, since } = consoleFiles(file);
  expect([...before, ...since].filter((path) => existsSync(path))).toEqual([]);
  expect(await show()).toMatchObject({ text: '', next: { file: 0, at: 0 } });
});

test('who follows misses nothing: at the first start, when it is put aside, and at the next start', async () => {
  const { text, next } = await show({ wait: 60_000 }, async (said) => {
    writeFileSync(file, 'one\n');
    await until(() => said() === 'one\n');
    appendFileSync(file, 'two\n');
    renameSync(file, `${file}.1`);
    writeFileSync(file, 'three\n');
    await until(() => said() === 'one\ntwo\nthree\n');
    appendFileSync(file, 'four\n');
    await beginConsole(file);
    await until(() => said() === 'one\ntwo\nthree\n');
    writeFileSync(file, 'five\n');
    await until(() => said() === 'one\ntwo\nthree\nfour\nfive\n');
  });
  appendFileSync(file, 'six\n');
  expect(text).toBe('one\ntwo\nthree\nfour\nfive\n');
  expect((await show({ from: next })).text).toBe('six\n'); // the next round goes on where this one ended
});

test('a file of before the limit, and a flood, are cut; no piece is larger than a message may be', async () => {
  writeFileSync(file, `${'x'.repeat(99)}\n`.repeat(50_000));
  const old = await show({ lines: 10_000 });
  expect(old.text.length).toBe(1_000_000);
  expect(Math.max(...old.parts.map((part) => part.length))).toBeLessThanOrEqual(65_536);
  const flood = await show({ from: { file: old.next.file, at: 0 } });
  expect(flood.text.length + flood.left).toBe(5_000_000);
  expect(flood.text.length).toBeLessThan(300_000);
  truncateSync(file, 0);
  appendFileSync(file, 'anew\n');
  expect((await show({ from: old.next })).text).toBe('anew\n');
});

test('a terminal gets lines, tabs and colours, and nothing that a guest could do with it', () => {
  const red = '\u001b[31mred\u001b[0m';
  expect(harmless(`a\tb\n${red}`, true)).toBe(`a\tb\n${red}`);
  expect(harmless(red, false)).toBe('red');
  expect(harmless('\u001b]0;title\u0007x\u001b[2Jy\u001b[1;1Hz\u001b[6n', true)).toBe('xyz');
  expect(harmless('a\u0007\bb\rc\u009b31md\u001bc', true)).toBe('abc31md');
  expect(harmless('ends\u001b', true)).toBe('ends');
});
