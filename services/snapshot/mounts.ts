import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { plainPath } from '../../shared/mount.ts';
import { run } from '../../shared/run.ts';
import { mountsIn, otherMounts, volumeOf } from './lvm-places.ts';

/** Where the tree of a kept snapshot can be seen, by the text of /proc/self/mountinfo (proc(5)): the fourth field is what was bound, the fifth where. */
export function mountsOf(mountinfo: string, uuid: string, snapshot?: string): string[] {
  const bound = snapshot === undefined ? `/.kept/${uuid}/` : `/.kept/${uuid}/${snapshot}/tree/`;
  return mountinfo.split('\n').flatMap((line) => {
    const [, , , root = '', place = ''] = line.split(' ');
    return `${plainPath(root)}/`.includes(bound) ? [plainPath(place)] : [];
  });
}

/** The same of snapshots that lie on volumes of their own, to which their trees are links: who sees such a volume besides its place. */
async function volumeMounts(mountinfo: string, uuid: string, snapshot?: string): Promise<string[]> {
  const places = mountsIn(mountinfo).flatMap(({ root, place }) => {
    const at = place.indexOf('/.volumes/');
    return root === '/' && at >= 0 ? [{ place, directory: place.slice(0, at), name: basename(place) }] : [];
  });
  const found: string[] = [];
  for (const { place, directory, name } of places) {
    const of = join(directory, '.kept', uuid);
    const snapshots = snapshot === undefined ? await readdir(of).catch(() => []) : [snapshot];
    for (const one of snapshots)
      if ((await volumeOf(join(of, one, 'tree'))) === name) found.push(...otherMounts(mountinfo, place));
  }
  return found;
}

/** Where the trees of kept snapshots can be seen besides their own places. */
export async function mounted(uuid: string, snapshot?: string): Promise<string[]> {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  return [...mountsOf(mountinfo, uuid, snapshot), ...(await volumeMounts(mountinfo, uuid, snapshot))];
}

/** Throws VsError 'conflict' while the root file system of a vserver is mounted at its place to run from. */
export async function requireUnmounted(name: string, place: string, host: string): Promise<void> {
  if ((await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${place} `))
    throw new VsError('conflict', `${name} is still mounted at ${place} on ${host}`);
}

/** Ends every mount of it; lazily where somebody still looks into one and it must go. */
export async function unmountAll(places: string[], lazily = false): Promise<void> {
  for (const place of places) await run(['umount', ...(lazily ? ['-l'] : []), place]);
}
