import { expect, test } from 'vitest';
import { changedMeanwhile } from '../../services/transfer/rsync.ts';

const end =
  'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394) [sender=3.5.0]';

test.each([
  'rsync: [sender] send_files failed to open "/a" (in tree): No such device or address (6)',
  'rsync: [sender] send_files failed to open "/a" (in tree): Too many levels of symbolic links (40)',
  'rsync: [sender] read errors mapping "/a" (in tree): Is a directory (21)',
  'ERROR: a failed verification -- update discarded.',
])('a guest that changes its files does this to a copy: %s', (line) => {
  expect(changedMeanwhile(`${line}\n${end}\n`)).toBe(true);
});

test.each([
  'rsync: [sender] read errors mapping "/a" (in tree): Input/output error (5)',
  'rsync: [sender] send_files failed to open "/a" (in tree): Permission denied (13)',
  'rsync: [receiver] mkstemp "/.a.x" (in tree) failed: Read-only file system (30)',
])('this is no change of a guest: %s', (line) => {
  expect(changedMeanwhile(`ERROR: b failed verification -- update discarded.\n${line}\n${end}\n`)).toBe(
    false,
  );
});

test('what says nothing is no change', () => {
  expect(changedMeanwhile(`${end}\n`)).toBe(false);
});
