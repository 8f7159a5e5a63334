import { expect, test } from 'vitest';
import { isFull, unkeptIn } from '../../services/transfer/unkept.ts';

const tar = `tar: setxattrat: Cannot set 'user.big' extended attribute for file './a file': No space left on device`;
const rsync =
  'rsync: [receiver] rsync_xal_set: lsetxattr("/tree/f","user.big") failed: No space left on device (28)';

test('an attribute that does not fit is told by its name, and is no full disk', () => {
  expect(unkeptIn(`tar: ./g: time stamp in the future\n${tar}\n`)).toMatch(
    /^the attribute user\.big of \.\/a file cannot be kept: it is larger than the target's file system takes/,
  );
  expect(unkeptIn(rsync)).toMatch(/^the attribute user\.big of \/tree\/f cannot be kept/);
  expect([isFull(tar), isFull(rsync)]).toEqual([false, false]);
  expect(
    unkeptIn(
      `tar: Cannot set 'btrfs.compression' extended attribute for file './g': Operation not supported`,
    ),
  ).toBe(undefined);
});

test('a full disk is one', () => {
  for (const line of [
    'tar: ./f: Cannot write: No space left on device',
    'rsync: [receiver] write failed on "/tree/f": No space left on device (28)',
    'rsync: [receiver] mkstemp "/tree/.f.x" failed: Disk quota exceeded (122)',
  ])
    expect([isFull(line), isFull(`${rsync}\n${line}`), unkeptIn(line)]).toEqual([true, true, undefined]);
});
