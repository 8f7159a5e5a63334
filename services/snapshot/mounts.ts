import { mkdir, readFile, readdir, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { isMounted, plainPath } from '../../shared/mount.ts';
import { run } from '../../shared/run.ts';

/** Where the tree of a kept snapshot can be seen, by the text of /proc/self/mountinfo (proc(5)): the fourth field is what was bound, the fifth where. */
export function mountsOf(mountinfo: string, uuid: string, snapshot?: string): string[] {
  const bound = snapshot === undefined ? `/.kept/${uuid}/` : `/.kept/${uuid}/${snapshot}/tree/`;
  return mountinfo.split('\n').flatMap((line) => {
    const [, , , root = '', place = ''] = line.split(' ');
    return `${plainPath(root)}/`.includes(bound) ? [plainPath(place)] : [];
  });
}

export const mounted = async (uuid: string, snapshot?: string): Promise<string[]> =>
  mountsOf(await readFile('/proc/self/mountinfo', 'utf8'), uuid, snapshot);

/** Throws VsError 'conflict' while the root file system of a vserver is mounted at its place to run from. */
export async function requireUnmounted(name: string, place: string, host: string): Promise<void> {
  if ((await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${place} `))
    throw new VsError('conflict', `${name} is still mounted at ${place} on ${host}`);
}

/** Where files of guests may be seen on a host: below nothing that the host itself reads as its configuration. */
const ALLOWED = ['/mnt/', '/media/', '/srv/'];

/** Shows a tree at an empty directory, which is made where its parent exists. Nothing of it can be run, and no device opened. */
export async function mountReadOnly(tree: string, directory: string): Promise<void> {
  const refuse = (why: string): never => {
    throw new VsError(
      'refused',
      `${directory} ${why}; name an empty directory of the host below /mnt, /media or /srv`,
    );
  };
  if (!ALLOWED.some((one) => directory.startsWith(one)))
    refuse('is not one where files of vservers are shown');
  const parent = await realpath(dirname(directory)).catch(() => undefined);
  if (parent !== undefined && parent !== dirname(directory)) refuse(`is in ${parent} by a link`);
  await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return;
    if (error.code === 'ENOENT') refuse(`cannot be made: there is no ${dirname(directory)}`);
    throw error;
  });
  const entries = await readdir(directory).catch(() => refuse('is no directory'));
  if (entries.length > 0) refuse('is not empty');
  const real = await realpath(directory);
  if (real !== directory.replace(/\/+$/, '')) refuse(`is ${real} by a link`);
  if (await isMounted(real)) refuse('is mounted already');
  await run(['mount', '--bind', '-o', 'ro,nosuid,nodev,noexec', tree, real]);
}

/** Ends every mount of it; lazily where somebody still looks into one and it must go. */
export async function unmountAll(places: string[], lazily = false): Promise<void> {
  for (const place of places) await run(['umount', ...(lazily ? ['-l'] : []), place]);
}
