import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { whileAlone } from '../../shared/file-lock.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-lock-'));
afterAll(() => rmSync(directory, { recursive: true }));
const module = new URL('../../shared/file-lock.ts', import.meta.url).href;
/** A process that adds one to a number in a file so many times, slowly enough for others to come between. */
const adder = (file: string, times: number) =>
  spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { whileAlone } from ${JSON.stringify(module)};
import { readFileSync, writeFileSync } from 'node:fs';
const file = ${JSON.stringify(file)};
for (let i = 0; i < ${times}; i++) await whileAlone(file, async () => {
  const now = Number(readFileSync(file, 'utf8'));
  await new Promise((resolve) => setTimeout(resolve, 5));
  writeFileSync(file, String(now + 1));
});`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
const ended = (child: ReturnType<typeof adder>) => new Promise((resolve) => child.once('exit', resolve));

test('processes that change a file at the same time lose nothing, nor do callers of one process', async () => {
  const file = join(directory, 'number');
  writeFileSync(file, '0');
  const children = [adder(file, 20), adder(file, 20), adder(file, 20)];
  const own = Array.from({ length: 10 }, () =>
    whileAlone(file, async () => {
      const now = Number(readFileSync(file, 'utf8'));
      await sleep(5);
      writeFileSync(file, String(now + 1));
    }),
  );
  await Promise.all([...children.map(ended), ...own]);
  expect(readFileSync(file, 'utf8')).toBe('70');
});

test('who is killed holds nobody up, and what fails ends its turn', async () => {
  const file = join(directory, 'killed');
  writeFileSync(file, '0');
  const child = adder(file, 1000);
  while (readFileSync(file, 'utf8') === '0') await sleep(5);
  child.kill('SIGKILL');
  await ended(child);
  await expect(whileAlone(file, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await whileAlone(file, async () => 'free')).toBe('free');
});
