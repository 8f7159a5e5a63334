import { mkdir, readFile, readdir, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { VsError } from './errors.ts';
import { run } from './run.ts';

/** What a path lies on. */
export interface Mount {
  place: string;
  type: string;
  source: string;
  /** Those of the file system, not of the single mount. */
  options: string;
}

/** The mount that a path lies on, from the text of /proc/self/mountinfo (proc(5)). */
export function mountOf(mountinfo: string, path: string): Mount {
  let found: Mount = { place: '', type: '', source: '', options: '' };
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const place = (before.split(' ')[4] ?? '').replaceAll('\\040', ' ');
    const [type = '', source = '', options = ''] = after.split(' ');
    const isAbove = place === '/' || path === place || path.startsWith(`${place}/`);
    if (place && isAbove && place.length >= found.place.length) found = { place, type, source, options };
  }
  return found;
}

/** A path as mountinfo writes it, without its octal escapes (proc_pid_mountinfo(5)). */
export const plainPath = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Is a file system mounted there? */
export async function isMounted(path: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return mounts.split('\n').some((line) => plainPath(line.split(' ')[4] ?? '') === path);
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
