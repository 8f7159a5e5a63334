import { lstat, mkdir, readdir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { ResticRepository } from '../../config/repositories.ts';
import { backupId } from '../../shared/contract/backup.ts';
import { name } from '../../shared/contract/names.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { exists, readJson, writeJson } from '../../shared/store.ts';
import { mountedIn } from './mounts.ts';
import { shownTree } from './place.ts';
import type { Turns } from '../../shared/turns.ts';
import { resticBackup } from './restic-list.ts';
import { parseOutput, restic } from './restic.ts';
import { treesOf } from './trees.ts';

const program = new URL('restic-holes.pl', import.meta.url).pathname;
const LONG_MS = 48 * 3_600_000;
/** Written when all of it is there. */
const fetched = z.object({ version: z.literal(1), vserver: name, id: backupId, path: z.string().optional() });

const directoryOf = ({ path }: ResticRepository, saga: string): string => join(path, '.fetched', saga);
/** In a pattern of restic these stand for others (filepath.Match). */
const plain = (path: string): string => path.replaceAll(/[\\*?[\]]/g, '\\$&');

/** The configuration in a backup. */
export async function configIn(repository: ResticRepository, snapshot: string) {
  const { stdout } = await restic(repository, ['dump', '--no-lock', snapshot, '/tree/vserver.json']);
  return parseOutput(stdout, vserverConfig, 'dump of vserver.json');
}

/** Where the tree is that was fetched for a saga. Throws VsError 'conflict'. */
export async function fetchedTree(
  repository: ResticRepository,
  saga: string,
  of: { vserver: string; id: string },
): Promise<string> {
  const directory = directoryOf(repository, saga);
  const known = await readJson(join(directory, 'fetched.json'), fetched);
  if (known?.vserver !== of.vserver || known.id !== of.id || known.path !== undefined)
    throw new VsError('conflict', `backup ${of.id} of ${of.vserver} has not been fetched for ${saga}`);
  return join(directory, 'tree');
}

/** Brings the tree of a backup, or one path of its root, onto this machine; the same again for the same saga. Throws VsError. */
export const fetchRestic = (
  repository: ResticRepository,
  { saga, ...of }: { vserver: string; id: string; saga: string; path?: string | undefined },
): Promise<{ tree: string }> => bringRestic(repository, directoryOf(repository, saga), of);

async function bringRestic(
  repository: ResticRepository,
  directory: string,
  { vserver, id, path }: { vserver: string; id: string; path?: string | undefined },
): Promise<{ tree: string }> {
  const tree = join(directory, 'tree');
  const known = await readJson(join(directory, 'fetched.json'), fetched).catch(() => undefined);
  if (known && known.vserver === vserver && known.id === id && known.path === path) return { tree };
  const { record, snapshot } = await resticBackup(repository, vserver, id);
  await treesOf.links.remove(directory);
  await mkdir(tree, { recursive: true, mode: 0o700 });
  const { bsize, bavail } = await statfs(directory);
  if (path === undefined && record.bytes * 1.05 > bsize * bavail)
    throw new VsError(
      'refused',
      `backup ${id} of ${vserver} comes to the master first: ${((record.bytes * 1.05) / 1e6).toFixed(0)} MB are needed in ${repository.path}, ${((bsize * bavail) / 1e6).toFixed(0)} MB are free`,
    );
  const only =
    path === undefined ? [] : [`/tree/rootfs${path}`, '/holes'].flatMap((one) => ['--include', plain(one)]);
  try {
    await restic(repository, ['restore', '--no-lock', snapshot, '--target', directory, ...only], {
      gently: true,
      timeoutMs: LONG_MS,
    });
    if (path !== undefined && !(await lstat(join(tree, 'rootfs', path)).catch(() => undefined)))
      throw new VsError('not-found', `backup ${id} of ${vserver} has no ${path}`);
    if (await exists(join(directory, 'holes')))
      await run(['nice', '-n', '10', 'perl', program, 'dig', tree, join(directory, 'holes')], {
        timeoutMs: LONG_MS,
      });
    await run(['sync', '-f', directory], { timeoutMs: 3_600_000 });
  } catch (error) {
    await treesOf.links.remove(directory);
    throw error;
  }
  await writeJson(join(directory, 'fetched.json'), fetched, {
    version: 1,
    vserver,
    id,
    ...(path === undefined ? {} : { path }),
  });
  return { tree };
}

/** What was fetched for a saga goes. */
export const releaseRestic = (repository: ResticRepository, saga: string): Promise<void> =>
  treesOf.links.remove(directoryOf(repository, saga));

const shownIn = (repository: ResticRepository, { vserver, id }: { vserver: string; id: string }): string =>
  dirname(shownTree(repository, vserver, id));

/** Brings all of a backup to where people can see it (mounts.ts), until hideRestic. */
export const showRestic = async (
  repository: ResticRepository,
  of: { vserver: string; id: string },
): Promise<void> => void (await bringRestic(repository, shownIn(repository, of), of));

/** Nobody looks at it any more. */
export const hideRestic = (
  repository: ResticRepository,
  of: { vserver: string; id: string },
): Promise<void> => treesOf.links.remove(shownIn(repository, of));

/** Removes what was shown before the machine was started again: nothing is mounted any more. */
export async function tidyShown(repository: ResticRepository, inTurn: Turns): Promise<void> {
  const top = join(repository.path, '.shown');
  for (const vserver of await readdir(top).catch(() => [] as string[]))
    for (const id of await readdir(join(top, vserver)).catch(() => [] as string[]))
      await inTurn(`${repository.name} ${vserver}`, async () => {
        if ((await mountedIn(repository, { vserver, id })).length === 0)
          await hideRestic(repository, { vserver, id });
      });
}
