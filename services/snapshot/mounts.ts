import { readFile } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { plainPath } from '../../shared/mount.ts';
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

/** Ends every mount of it; lazily where somebody still looks into one and it must go. */
export async function unmountAll(places: string[], lazily = false): Promise<void> {
  for (const place of places) await run(['umount', ...(lazily ? ['-l'] : []), place]);
}
