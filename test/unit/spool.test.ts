import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { openSpool } from '../../shared/bus/spool.ts';

let directory: string;
let errors: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vslab-spool-'));
  errors = [];
  return () => rmSync(directory, { recursive: true });
});
const fileOf = () => join(directory, 'outbox', 'agent.events.jsonl');
const life = (file = fileOf(), bytes = 10_000) =>
  openSpool({ file, bytes, onError: (message) => void errors.push(message) });
const message = (text: string) => ({ topic: 'vs/1/hosts/host1/events/test', text });
const texts = (spool: ReturnType<typeof life>) => spool.left.map((one) => one.text);

test('what was not removed is there in the next life, in order, with its number; nobody else may read it', async () => {
  const first = life();
  for (const [number, text] of ['a', 'b', 'c'].entries()) first.add(number + 1, message(text));
  await first.flush();
  first.remove(2);
  first.add(4, message('d'));
  await first.flush();
  expect(statSync(fileOf()).mode & 0o777).toBe(0o600);
  const second = life();
  expect(second.left.map(({ number, text }) => [number, text])).toEqual([
    [1, 'a'],
    [3, 'c'],
    [4, 'd'],
  ]);
  for (const { number } of second.left) second.remove(number);
  await second.flush();
  expect(readFileSync(fileOf(), 'utf8')).toBe('');
  expect(errors).toEqual([]);
});

test('what is removed at once is never written', async () => {
  const spool = life();
  spool.add(1, message('a'));
  spool.remove(1);
  await sleep(100);
  expect(() => statSync(fileOf())).toThrow('ENOENT');
});

test.each([
  ['a torn last line', (good: string) => `${good}{"number":9,"topic":"vs/1/ho`],
  ['a line of zeros', (good: string) => `${good}${'\0'.repeat(100)}\n`],
  ['a foreign line in the middle', (good: string) => `{"number":-1}\n["?"]\nnull\n${good}`],
  [
    'a message that is too long',
    (good: string) => `${good}{"number":9,"topic":"t","text":"${'x'.repeat(1_000_001)}"}\n`,
  ],
])('%s costs nothing but itself, also when more is added behind it', async (_what, damage) => {
  const first = life();
  first.add(1, message('a'));
  first.add(2, message('b'));
  await first.flush();
  writeFileSync(fileOf(), damage(readFileSync(fileOf(), 'utf8')));
  const second = life();
  expect(texts(second)).toEqual(['a', 'b']);
  second.add(3, message('c'));
  await second.flush();
  expect(texts(life())).toEqual(['a', 'b', 'c']);
});

test('the file stays within twice its limit, however much passes through it', async () => {
  const spool = life();
  let most = 0;
  for (let number = 1; number < 400; number++) {
    spool.add(number, message('x'.repeat(1000)));
    if (number > 5) spool.remove(number - 5);
    await spool.flush();
    most = Math.max(most, statSync(fileOf()).size);
  }
  expect(most).toBeLessThan(100_000);
  expect(life().left.map((one) => one.number)).toEqual([395, 396, 397, 398, 399]);
});

test('how many were dropped is remembered until they are told of', async () => {
  const first = life();
  first.setDropped(7);
  await first.flush();
  const second = life();
  expect(second.dropped).toBe(7);
  second.setDropped(0);
  await second.flush();
  expect(life().dropped).toBe(0);
});

test('a full disk is told once, and what waited is written when there is room again', async () => {
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'vslab', directory]).status === 0;
  try {
    // Without root: a file stands where the directory should be.
    const ballast = join(directory, mounted ? 'ballast' : 'outbox');
    writeFileSync(ballast, '');
    if (mounted) for (let pages = 0; pages < 14; pages++) appendFileSync(ballast, Buffer.alloc(4096));
    const spool = life(fileOf(), 50_000);
    for (let number = 1; number <= 20; number++) {
      spool.add(number, message('x'.repeat(1000)));
      await spool.flush();
    }
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(mounted ? /ENOSPC/ : /ENOTDIR|EEXIST/);
    rmSync(ballast);
    await spool.flush();
    expect(life().left).toHaveLength(20);
    spool.remove(20);
    await spool.flush();
    expect(life().left).toHaveLength(19);
  } finally {
    if (mounted) spawnSync('umount', [directory]);
  }
});
