import { execFileSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compareManifest, writeManifest, writeNextManifest } from '../../services/repository/manifest.ts';
import { run } from '../../shared/run.ts';
import { dice, growing, kinds, mutate } from '../flow/tree-kit.ts';

let root = '';
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'vs-manifest-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));
const isRoot = process.getuid?.() === 0;
const of = (name: string) => join(root, name);

/** Every path of a tree, with what a walk sees of it: inode, and the time of its last change. */
function seen(top: string): Map<string, { what: string; directory: boolean }> {
  const found = new Map<string, { what: string; directory: boolean }>();
  const look = (path: string): void => {
    const is = lstatSync(Buffer.from(`${top}/${path}`, 'latin1'), { bigint: true });
    found.set(path, { what: `${is.ino} ${is.ctimeNs} ${is.mode}`, directory: is.isDirectory() });
    if (is.isDirectory())
      for (const name of readdirSync(Buffer.from(`${top}/${path}`, 'latin1'), { encoding: 'buffer' }))
        look(`${path === '.' ? '' : `${path}/`}${name.toString('latin1')}`);
  };
  look('.');
  return found;
}

/** The list of what `change` did to a tree, as walk.pl writes it. */
function listed(tree: string, change: () => void): string {
  const before = seen(tree);
  change();
  let text = '';
  for (const [path, { what, directory }] of seen(tree)) {
    const was = before.get(path);
    if (was?.what === what) continue;
    const isOld = was?.directory === true && was.what.split(' ')[0] === what.split(' ')[0];
    text += `${directory ? (isOld ? 'd' : 'n') : 'f'}${path}\0`;
  }
  return text;
}

/** The manifest of a tree before and after a change, by the lists, and by a look at all. */
async function both(grow: (tree: string) => void, change: (tree: string) => void) {
  const [tree, basis, changes] = [of('tree'), of('basis'), of('changes')];
  mkdirSync(tree);
  mkdirSync(changes);
  grow(tree);
  await run(['cp', '-a', tree, basis]);
  await writeManifest(basis, of('before'));
  writeFileSync(
    join(changes, '0'),
    listed(tree, () => change(tree)),
    'latin1',
  );
  const start = { tree: basis, manifest: of('before'), bytes: 0 };
  const next = await writeNextManifest(tree, of('next'), { basis: start, changes });
  const whole = await writeManifest(tree, of('whole'));
  expect(next.files).toBe(whole.files);
  return { next: readFileSync(of('next'), 'latin1'), whole: readFileSync(of('whole'), 'latin1'), tree };
}

test
  .skipIf(!isRoot)
  .each(Array.from({ length: Number(process.env['VS_SEEDS'] ?? 6) }, (_, seed) => seed + 1))(
  'a manifest of what changed is that of a look at all, byte for byte: seed %i',
  { timeout: 60_000 },
  async (seed) => {
    const random = dice(seed);
    const { next, whole, tree } = await both(
      (top) => mutate(top, random, 60, [...growing, 'toSymlink', 'link']),
      (top) => mutate(top, random, 20, [...kinds, 'link', 'breakLink', 'xattr', 'toDirectory', 'toFile']),
    );
    expect(next).toBe(whole);
    expect((await compareManifest(tree, of('next'))).faults).toEqual([]);
  },
);

test('names of one file that look like a symlink, and names of one symlink, stay in their groups', async () => {
  const { next, whole } = await both(
    (tree) => {
      for (const name of ['a', 'other']) writeFileSync(join(tree, name), name);
      linkSync(join(tree, 'a'), join(tree, 'a too'));
      linkSync(join(tree, 'other'), join(tree, 'a -> b'));
      symlinkSync('to there', join(tree, 'l i n k'));
      linkSync(join(tree, 'l i n k'), join(tree, 'link'));
    },
    (tree) => writeFileSync(join(tree, 'new'), ''),
  );
  expect(next).toBe(whole);
  expect(next.match(/^h .*$/gm)).toEqual([
    'h 1 a',
    'h 1 a too',
    'h 2 a -> b',
    'h 2 other',
    'h 3 l\\040i\\040n\\040k -> to there',
    'h 3 link -> to there',
  ]);
});

test('names and attributes that a manifest could mistake for something else', async () => {
  const { next, whole, tree } = await both(
    (top) => {
      writeFileSync(join(top, '..\n'), 'a');
      symlinkSync('b', join(top, 'a'));
      writeFileSync(join(top, 'a -> b'), 'no symlink');
      execFileSync('setfattr', ['-n', 'user.a\tb', '-v', 'c', join(top, '..\n')]);
      execFileSync('setfattr', ['-n', 'user.a\u00a0b\r', '-v', 'c', join(top, 'a -> b')]);
      mkdirSync(join(top, 'directory'));
    },
    (top) => {
      writeFileSync(join(top, '..\n'), 'b');
      writeFileSync(join(top, 'directory', '..\n'), 'c');
    },
  );
  expect(next).toBe(whole);
  for (let times = 0; times < 4; times++)
    // the order of what it looks at is another each time
    expect((await compareManifest(tree, of('next'))).faults).toEqual([]);
  rmSync(join(tree, 'a'));
  symlinkSync('c', join(tree, 'a'));
  expect((await compareManifest(tree, of('next'))).faults).toEqual([
    'a -> b is gone',
    'a -> c is not in the manifest',
  ]);
});

test('a fault of a file whose name is no text fits into a record', async () => {
  mkdirSync(of('tree'));
  const path = Buffer.concat([Buffer.from(`${of('tree')}/`), Buffer.alloc(250, 0xff)]);
  writeFileSync(path, 'a');
  await writeManifest(of('tree'), of('manifest'));
  rmSync(path);
  const { faults } = await compareManifest(of('tree'), of('manifest'));
  expect(faults).toHaveLength(1);
  expect(faults[0]).toMatch(/^\\xff/);
  expect(faults[0]?.length).toBeLessThanOrEqual(500);
});

test('a manifest of before attributes were named is the start of none', async () => {
  await both(
    (tree) => writeFileSync(join(tree, 'a'), 'a'),
    (tree) => writeFileSync(join(tree, 'b'), 'b'),
  );
  writeFileSync(of('before'), readFileSync(of('before'), 'latin1').replace(/^# .*\n/, ''));
  const start = { tree: of('basis'), manifest: of('before'), bytes: 0 };
  await expect(
    writeNextManifest(of('tree'), of('again'), { basis: start, changes: of('changes') }),
  ).rejects.toThrow(/of another version/);
});
