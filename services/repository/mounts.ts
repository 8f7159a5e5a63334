import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Repository } from '../../config/repositories.ts';
import { backupId } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import { mountReadOnly, plainPath } from '../../shared/mount.ts';
import { run } from '../../shared/run.ts';
import { shownTree } from './place.ts';

export interface MountedBackup {
  vserver: string;
  id: string;
  directory: string;
}

/** The mounts of trees of backups, by the text of /proc/self/mountinfo (proc(5)): the fourth field is what was bound, the fifth where. */
export function mountsOf(mountinfo: string): MountedBackup[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [, , , root = '', place = ''] = line.split(' ');
    const [, vserver = '', id = ''] =
      /\/([a-z0-9-]+)\/([^/]+)\/tree(?:\/rootfs)?$/.exec(plainPath(root)) ?? [];
    return backupId.safeParse(id).success ? [{ vserver, id, directory: plainPath(place) }] : [];
  });
}

/** Are two paths the same directory of the same file system? A mount shows the one that was bound. */
async function isSame(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((path) => stat(path).catch(() => undefined)));
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev;
}

/** Where the backups of a repository are mounted; only of one, where it is named. */
export async function mountedIn(
  repository: Repository,
  only?: { vserver: string; id: string },
): Promise<MountedBackup[]> {
  const all = mountsOf(await readFile('/proc/self/mountinfo', 'utf8'));
  const found: MountedBackup[] = [];
  for (const one of all) {
    if (only && (one.vserver !== only.vserver || one.id !== only.id)) continue;
    const tree = shownTree(repository, one.vserver, one.id);
    if (await isSame(join(tree, 'rootfs'), one.directory)) found.push(one);
  }
  return found;
}

/** Shows the files that a vserver had. Throws VsError 'refused', or 'not-found' where the backup has none. */
export async function mountBackup(
  repository: Repository,
  { vserver, id, directory }: MountedBackup,
): Promise<void> {
  const rootfs = join(shownTree(repository, vserver, id), 'rootfs');
  if (!(await stat(rootfs).catch(() => undefined)))
    throw new VsError(
      'refused',
      `backup ${id} of ${vserver} in repository ${repository.name} has no files that could be shown`,
    );
  await mountReadOnly(rootfs, directory);
}

/** Ends all mounts of a backup. Throws VsError 'refused' when there is none. */
export async function unmountBackup(
  repository: Repository,
  one: { vserver: string; id: string },
): Promise<string[]> {
  const places = (await mountedIn(repository, one)).map(({ directory }) => directory);
  if (places.length === 0)
    throw new VsError('refused', `backup ${one.id} of ${one.vserver} is mounted nowhere`);
  for (const place of places) await run(['umount', place]);
  return places;
}

/** Throws VsError 'conflict' while somebody has it mounted. */
export async function requireUnmounted(
  repository: Repository,
  one: { vserver: string; id: string },
): Promise<void> {
  const [found] = await mountedIn(repository, one);
  if (found)
    throw new VsError(
      'conflict',
      `backup ${one.id} of ${one.vserver} is mounted at ${found.directory}, so it stays; end that first: vs backup umount ${one.vserver} ${one.id}`,
    );
}
