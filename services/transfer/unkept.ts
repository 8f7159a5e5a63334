const tooLarge = '(?:No space left on device|Argument list too long|Numerical result out of range)';
/** setxattr(2) says ENOSPC, E2BIG or ERANGE when the attributes of a file are more than its file system takes: the words of tar and of rsync. */
const words = [
  new RegExp(`Cannot set '(?<attribute>.+?)' extended attribute for file '(?<file>.*)': ${tooLarge}`),
  new RegExp(`rsync_xal_set: \\w+setxattr\\("?(?<file>.*?)"?, *"(?<attribute>.+?)"\\) failed: ${tooLarge}`),
];

/** In the sentence about an attribute that does not fit. */
export const UNKEPT = 'cannot be kept: it is larger than';

/** What a tool says of an extended attribute that does not fit into the target's file system, as a sentence; undefined: nothing. */
export function unkeptIn(text: string): string | undefined {
  for (const line of text.split('\n'))
    for (const one of words) {
      const { attribute, file } = one.exec(line)?.groups ?? {};
      if (attribute !== undefined && file !== undefined)
        return `the attribute ${attribute.slice(0, 80)} of ${file.slice(-160)} ${UNKEPT} the target's file system takes (ext4: 4 kB for all of a file)`;
    }
  return undefined;
}

/** Does a tool say that the disk is full? An attribute that is too large has the same words, and another cause. */
export const isFull = (text: string): boolean =>
  text
    .split('\n')
    .some((line) => /No space left|Disk quota exceeded/i.test(line) && unkeptIn(line) === undefined);
