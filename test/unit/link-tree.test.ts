import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { treesOf } from '../../services/repository/trees.ts';
import { dice, growing, kinds, mutate, oracle } from '../flow/tree-kit.ts';

let root = '';
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'vs-link-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));
const of = (name: string) => join(root, name);
const share = () => treesOf.links.share(of('from'), of('to/tree'));
const tool = (file: string, ...args: string[]) => execFileSync(file, args, { stdio: 'ignore' });

test.each([1, 2, 3, 4, 5, 6])(
  'a tree of seed %i: the same as cp makes it, and of the same files',
  async (seed) => {
    mkdirSync(of('from'));
    mutate(of('from'), dice(seed), 120, [...growing, ...kinds]);
    const directories = seed % 2 ? 0 : 600; // so many that a second process has work
    for (let number = 0; number < directories; number++) {
      mkdirSync(of(`from/d${number % 20}/d${number}`), { recursive: true });
      writeFileSync(of(`from/d${number % 20}/d${number}/file`), String(number));
    }
    mkdirSync(of('from/wide/open'), { recursive: true });
    chmodSync(of('from/wide'), 0o3777);
    tool('setfattr', '-n', 'user.odd', '-v', '0x00ff0a', of('from/wide'));
    tool('setfacl', '-m', 'd:u:1234:rwx,u:1234:r-x', of('from/wide'));
    tool('touch', '-d', '2001-02-03 04:05:06.123456789', of('from/wide/open'));
    tool('touch', '-d', '1960-02-03 04:05:06.5', of('from/wide'));
    mkdirSync(of('to'));
    tool('setfacl', '-m', 'd:u:4321:rwx', of('to')); // what is made in it would inherit that
    await share();
    tool('cp', '-a', '--link', of('from'), of('cp'));
    expect(oracle(of('to/tree'))).toEqual(oracle(of('cp')));
    const made = oracle(of('to/tree')).length;
    expect(made).toBeGreaterThan(directories * 2 + 2);
    const look = (path: string): void => {
      const is = lstatSync(of(`from/${path}`));
      if (!is.isDirectory()) return expect(lstatSync(of(`to/tree/${path}`)).ino, path).toBe(is.ino);
      expect(lstatSync(of(`to/tree/${path}`)).ino).not.toBe(is.ino);
      for (const name of readdirSync(of(`from/${path}`))) if (!/[^ -~]/.test(name)) look(`${path}/${name}`);
    };
    look('.');
    expect(statSync(of('to/tree/wide')).mtimeMs).toBe(statSync(of('from/wide')).mtimeMs);
  },
);

test('a file with as many names as can be begins anew, with all its names', async () => {
  for (const directory of ['from/one', 'from/two'])
    for (let number = 0; number < 300; number++) mkdirSync(of(`${directory}/${number}`), { recursive: true });
  writeFileSync(of('from/file'), 'many names');
  writeFileSync(of('from/other'), 'one name');
  const names: string[] = [];
  for (let number = 0; number < 40_000; number++)
    names.push(`${number % 2 ? 'one' : 'two'}/${number % 300}/${number}`);
  for (const name of names) linkSync(of('from/file'), of(`from/${name}`));
  tool('touch', '-d', '2001-02-03 04:05:06.123456789', of('from/file'), of('from/one/1'), of('from/two'));
  const seen = (tree: string) =>
    execFileSync('find', ['.', '-not', '-name', 'other', '-printf', '%P %m %U:%G %s %T@ %n\n'], {
      cwd: of(tree),
      maxBuffer: 64e6,
      encoding: 'utf8',
    })
      .split('\n')
      .sort();
  const before = seen('from');
  await share();
  const [file, copy, other] = ['from/file', 'to/tree/file', 'to/tree/other'].map((path) =>
    lstatSync(of(path)),
  );
  if ((file?.nlink ?? 0) > 65_535)
    return console.log(`skipped: ${tmpdir()} lies on a file system without a limit of names`);
  expect([file?.nlink, copy?.nlink, other?.nlink]).toEqual([40_001, 40_001, 2]);
  expect(copy?.ino).not.toBe(file?.ino);
  expect(readFileSync(of('to/tree/one/1/1'), 'utf8')).toBe('many names');
  expect(seen('to/tree').filter((line) => !line.startsWith(' '))).toEqual(
    before.filter((line) => !line.startsWith(' ')),
  );
});

test('what is there is not touched, what is not there is told', async () => {
  mkdirSync(of('from'));
  mkdirSync(of('to/tree'), { recursive: true });
  writeFileSync(of('to/tree/mine'), '');
  await expect(share()).rejects.toThrow(/which is not there/);
  expect(readdirSync(of('to/tree'))).toEqual(['mine']);
  await expect(treesOf.links.share(of('nothing'), of('new'))).rejects.toThrow(
    /nothing cannot be entered: No such file/,
  );
  expect(existsSync(of('new/x'))).toBe(false);
});
