import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { along, dumped, found } from '../../services/snapshot/btrfs-along.ts';

// lines of btrfs-progs 6.2; blanks in names have a backslash in a dump, and none in find-new
test.each([
  ['update_extent   ./s2/a                          offset=262144 len=65536', 65_536],
  [String.raw`update_extent   ./s2/b\ len=7                   offset=0 len=3145728`, 3_145_728],
  [String.raw`mkfile          ./s2/update_extent\ len=9`, 0],
  ['rename          ./s2/o260-9-0                   dest=./s2/b', 0],
  ['truncate        ./s2/a                          size=20971520', 0],
  ['set_xattr       ./s2/a                          name=user.x data=len=5 len=5', 0],
  ['', 0],
])('a dump: %s', (line, bytes) => expect(dumped(line)).toBe(bytes));

test.each([
  ['inode 257 file offset 262144 len 65536 disk start 13795328 offset 0 gen 9 flags NONE a', 65_536],
  ['inode 259 file offset 0 len 3 disk start 0 offset 0 gen 7 flags INLINE small len 4096 disk', 3],
  ['transid marker was 9', 0],
  ['', 0],
])('find-new: %s', (line, bytes) => expect(found(line)).toBe(bytes));

test('a tool that is not there is an error of this question, and of nothing else', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-along-'));
  const path = process.env['PATH'];
  onTestFinished(() => {
    process.env['PATH'] = path;
    rmSync(directory, { recursive: true });
  });
  symlinkSync(execFileSync('which', ['du'], { encoding: 'utf8' }).trim(), join(directory, 'du'));
  process.env['PATH'] = directory;
  await expect(along([directory, directory], directory)).rejects.toThrow(/spawn btrfs ENOENT/);
});
