import { readFile } from 'node:fs/promises';

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
