import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import {
  clearTemporaries,
  readJson,
  removeFileDurable,
  rereader,
  writeFileDurable,
  writeJson,
} from '../../shared/store.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-store-'));
const file = join(directory, 'a', 'one.json');
const schema = z.strictObject({ epoch: z.int().min(1) });
afterAll(() => rmSync(directory, { recursive: true }));

test('what was written is read again, with mode 0600 and no temporary file left', async () => {
  expect(await readJson(file, schema)).toBeUndefined();
  await writeJson(file, schema, { epoch: 3 });
  expect(await readJson(file, schema)).toEqual({ epoch: 3 });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(directory, 'a'))).toEqual(['one.json']);
});

test('a value that breaks the schema leaves the file as it was', async () => {
  await writeJson(file, schema, { epoch: 4 });
  await expect(writeJson(file, schema, { epoch: 0 })).rejects.toThrow();
  expect(await readJson(file, schema)).toEqual({ epoch: 4 });
});

test('a damaged file is named in the error', async () => {
  for (const text of ['{', '{"epoch":"x"}', '']) {
    writeFileSync(file, text);
    await expect(readJson(file, schema)).rejects.toThrow(file);
  }
});

test('a write that cannot succeed leaves no temporary file; removing twice is no error', async () => {
  await expect(writeFileDurable(join(directory, 'a'), 'x')).rejects.toThrow();
  expect(readdirSync(directory)).toEqual(['a']);
  await removeFileDurable(file);
  await removeFileDurable(file);
  expect(await readJson(file, schema)).toBeUndefined();
});

test('what a power cut left of a write goes at the next start; what is being written now, and what looks alike, stays', async () => {
  const left = (name: string, old: boolean) => {
    const path = join(directory, 'left', name);
    writeFileSync(path, '');
    if (old) utimesSync(path, 1, 1);
  };
  mkdirSync(join(directory, 'left'));
  left('.web2.json.e7b990e724b4.tmp', true);
  left('.web2.json.aaaaaaaaaaaa.tmp', false);
  left('web2.json', true);
  left('.note.tmp', true);
  await clearTemporaries(join(directory, 'left'));
  await clearTemporaries(join(directory, 'none'));
  expect(readdirSync(join(directory, 'left')).sort()).toEqual([
    '.note.tmp',
    '.web2.json.aaaaaaaaaaaa.tmp',
    'web2.json',
  ]);
});

test('a file is read again when it changed, however it changed, and only then', async () => {
  const path = join(directory, 'again.json');
  const reread = rereader(schema);
  const old = new Date(Date.now() - 60_000);
  expect(await reread(path)).toBeUndefined();
  await writeJson(path, schema, { epoch: 1 });
  // at once after a write the next one may have the same time: it is not kept yet
  expect(await reread(path)).toEqual({ epoch: 1 });
  writeFileSync(path, '{"epoch":2}');
  expect(await reread(path)).toEqual({ epoch: 2 });
  await new Promise((resolve) => setTimeout(resolve, 150));
  const kept = await reread(path);
  expect(kept).toEqual({ epoch: 2 });
  expect(await reread(path)).toBe(kept);
  utimesSync(path, old, old); // its time of change is another one then
  expect(await reread(path)).toEqual({ epoch: 2 });
  await new Promise((resolve) => setTimeout(resolve, 150));
  await reread(path);
  writeFileSync(path, '{"epoch":3}'); // of the same length, in place
  expect(await reread(path)).toEqual({ epoch: 3 });
  writeFileSync(path, '{');
  await expect(reread(path)).rejects.toThrow(path);
  rmSync(path);
  expect(await reread(path)).toBeUndefined();
});
