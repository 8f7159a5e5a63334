import { type BigIntStats, constants } from 'node:fs';
import { access, lstat, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { VsError } from '../../shared/errors.ts';

const there = (path: string | Buffer): Promise<BigIntStats | undefined> =>
  lstat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });

/** Where something called `name` goes when a person says `to`: into a directory, else under that name. Throws VsError. */
export async function targetOf(to: string, name: string, many: boolean): Promise<string> {
  const isDirectory = (await stat(to).catch(() => undefined))?.isDirectory() ?? false;
  if (!isDirectory && (many || to.endsWith('/')))
    throw new VsError('not-found', `There is no directory ${to} here; make it first.`);
  const target = isDirectory ? join(to, name) : resolve(to);
  const parent = dirname(resolve(target));
  await access(parent, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw new VsError(
      error.code === 'ENOENT' ? 'not-found' : 'refused',
      error.code === 'ENOENT'
        ? `There is no directory ${parent} here; make it first.`
        : `${parent} cannot be written: ${error.message}`,
      { cause: error },
    );
  });
  return resolve(target);
}

const clash = (path: string | Buffer, what: string) =>
  new VsError(
    'conflict',
    `${path.toString()} ${what}: it stays as it is. What came before it is in place; move it away, then pull again.`,
  );

/**
 * Puts what was unpacked in its place: a file or link over what has its name, by one rename; a directory that is there
 * already takes in what came, name by name. A symbolic link is never followed: an earlier pull may have brought it.
 */
export async function putInPlace(from: Buffer, to: Buffer): Promise<void> {
  const [fresh, old] = [await there(from), await there(to)];
  if (!old) return rename(from, to);
  if (!fresh?.isDirectory()) {
    if (old.isDirectory()) throw clash(to, 'is a directory, and a file came');
    return rename(from, to);
  }
  if (!old.isDirectory())
    throw clash(to, `is ${old.isSymbolicLink() ? 'a symbolic link' : 'a file'}, and a directory came`);
  for (const name of await readdir(from, { encoding: 'buffer' })) {
    const below = (directory: Buffer) => Buffer.concat([directory, Buffer.from('/'), name]);
    await putInPlace(below(from), below(to));
  }
}
