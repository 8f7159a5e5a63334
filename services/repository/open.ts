import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Repository } from '../../config/repositories.ts';
import { type BackupRecord, backupRecord } from '../../shared/contract/backup.ts';
import type { TakenBackup } from '../../shared/contract/repository.ts';
import { name as nameOf } from '../../shared/contract/names.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import {
  exists,
  readJson,
  removeFileDurable,
  renameDurable,
  syncDirectory,
  writeJson,
} from '../../shared/store.ts';
import { countManifest, isCurrent, sumOf, writeManifest, writeNextManifest } from './manifest.ts';
import {
  LEAST_FREE,
  OPEN_FILE,
  type Opened,
  answerOf,
  configIn,
  leftOf,
  notOpen,
  opened,
  recordFor,
} from './partial.ts';
import { pathsIn, storageOf } from './place.ts';
import { freeId, listRecords } from './records.ts';
import { treesOf } from './trees.ts';

/** With what the tree held when it began as the basis (manifest.ts, countManifest). */
const openedTree = opened.extend({
  counted: z.object({ files: z.int(), bytes: z.int() }).optional(),
});
/** The lists of what passes have changed since (services/transfer/lists.ts). */
export const changesIn = (partial: string) => join(partial, 'changes');
const LEFT_DAYS = 7;

/** Removes whatever lies there, of any backup that is none yet or no more. */
export async function removeTree(repository: Repository, path: string): Promise<void> {
  const { shares } = await storageOf(repository);
  await treesOf[shares].remove(path);
}

/** A place for the backup of a saga; the same again when it is asked for again. Throws VsError 'refused' when there is no room. */
export async function openBackup(
  repository: Repository,
  { name, saga, bytes }: { name: string; saga: string; bytes: number },
) {
  const paths = pathsIn(repository);
  const path = paths.partial(name, saga);
  const { shares, free } = await storageOf(repository);
  const trees = treesOf[shares];
  const answer = (one: Opened) => ({ ...answerOf(one), shares, free });
  const known = await readJson(join(path, OPEN_FILE), openedTree);
  if (known) return answer(known);
  await trees.remove(path);
  const fresh = `${path}.new`;
  const left = await leftOf(repository, name);
  const begun = left[0] && (await readJson(join(left[0], OPEN_FILE), openedTree).catch(() => undefined));
  const start =
    begun && !left[0]?.endsWith('.new') && (await exists(join(left[0] ?? '', 'tree'))) ? left[0] : undefined;
  for (const one of left) if (one !== start) await trees.remove(one);
  if (start !== undefined && begun) {
    // one that was nearly whole when its saga ended
    await trees.open(join(start, 'tree'));
    await removeFileDurable(join(start, 'backup.json'));
    await writeJson(join(start, OPEN_FILE), openedTree, { ...begun, resumed: true });
    await renameDurable(start, path);
    return answer({ ...begun, resumed: true });
  }
  const { backups } = await listRecords(repository, name);
  const last = backups[0];
  const needed = last ? bytes * 0.02 : bytes * 1.05;
  if (needed > free)
    throw new VsError(
      'refused',
      `repository ${repository.name} has ${(free / 1e6).toFixed(0)} MB free in ${repository.path}, and ${(needed / 1e6).toFixed(0)} MB are needed`,
    );
  const counting = last && countManifest(paths.manifest(name, last.id)).catch(() => undefined);
  if (last) await trees.share(paths.tree(name, last.id), join(fresh, 'tree'));
  else await trees.create(join(fresh, 'tree'));
  const counted = await counting;
  const now = {
    version: 1 as const,
    resumed: false,
    ...(last ? { basis: last.id, taken: last.taken } : {}),
    ...(counted ? { counted } : {}),
  };
  await writeJson(join(fresh, OPEN_FILE), openedTree, now);
  await renameDurable(fresh, path);
  return answer(now);
}

/** Do the lists name all that was changed since the basis, and is its manifest the one that it had? A pass that compared all has left `all`. */
async function areWhole(changes: string, sum: unknown, manifest: string): Promise<boolean> {
  if (!(await exists(join(changes, '0'))) || (await exists(join(changes, 'all')))) return false;
  return (await isCurrent(manifest)) && (await sumOf(manifest)) === sum;
}

/** Where the tree of an open backup lies. Throws VsError 'conflict' when there is none. */
export async function placeIn(repository: Repository, { name, saga }: { name: string; saga: string }) {
  const path = pathsIn(repository).partial(name, saga);
  const begun = await readJson(join(path, OPEN_FILE), openedTree);
  if (!begun) throw notOpen(repository, { name, saga });
  const { shares } = await storageOf(repository);
  const changes = changesIn(path);
  const fresh = !begun.resumed && !(await exists(changes));
  return {
    path: join(path, 'tree'),
    links: shares === 'links',
    changes,
    ...(fresh && begun.counted ? { counted: begun.counted } : {}),
  };
}

/** The open backup of a saga becomes one that is listed: manifest, all of it written out, its record, and last its name. */
export async function sealBackup(
  repository: Repository,
  { name, saga, backup }: { name: string; saga: string; backup: TakenBackup },
): Promise<BackupRecord> {
  const paths = pathsIn(repository);
  const path = paths.partial(name, saga);
  const { backups, faults } = await listRecords(repository, name);
  const before = backups.find((one) => one.saga === saga);
  if (before) return before;
  const tree = join(path, 'tree');
  const begun = await readJson(join(path, OPEN_FILE), openedTree);
  if (!begun || !(await exists(tree))) throw notOpen(repository, { name, saga });
  const { shares } = await storageOf(repository);
  const trees = treesOf[shares];
  const config = await configIn(tree, name, backup.uuid);
  const last = begun.basis === undefined ? undefined : backups.find((one) => one.id === begun.basis);
  const basis = last?.id;
  const manifest = join(path, 'manifest');
  const of = last && {
    tree: paths.tree(name, last.id),
    manifest: paths.manifest(name, last.id),
    bytes: last.bytes,
  };
  const changes = changesIn(path);
  const { files, bytes, added } =
    of && !begun.resumed && (await areWhole(changes, last.manifest, of.manifest))
      ? await writeNextManifest(tree, manifest, { basis: of, changes })
      : await writeManifest(tree, manifest, of);
  await rm(changes, { recursive: true, force: true });
  await trees.close(tree);
  await run(['sync', '-f', path], { timeoutMs: 3_600_000 });
  const used = new Set([
    ...backups.map((one) => one.id),
    ...(faults.length > 0 ? await readdir(paths.vserver(name)).catch(() => []) : []),
  ]);
  const id = freeId(backup.taken, used);
  const whole = { backup, config, basis, id, bytes, files, addedBytes: added };
  const record: BackupRecord = {
    ...recordFor(repository, { name, saga }, whole),
    manifest: await sumOf(manifest),
  };
  await writeJson(join(path, 'backup.json'), backupRecord, record);
  await mkdir(paths.vserver(name), { recursive: true, mode: 0o700 });
  await syncDirectory(repository.path); // of the first backup of a vserver: its folder, too
  await renameDurable(path, paths.backup(name, record.id));
  await removeFileDurable(join(paths.backup(name, record.id), OPEN_FILE));
  return record;
}

/** Ends an open backup. What has come may be the start of the next one, where there is room for it. */
export async function discardBackup(
  repository: Repository,
  { name, saga, keep }: { name: string; saga: string; keep?: boolean | undefined },
): Promise<void> {
  const path = pathsIn(repository).partial(name, saga);
  const { free, total } = await storageOf(repository);
  await removeTree(repository, `${path}.new`);
  const begun = await readJson(join(path, OPEN_FILE), openedTree).catch(() => undefined);
  if (keep && begun && free > total * LEAST_FREE) return;
  await removeTree(repository, path);
}

/** What was being removed, and what interrupted backups have left long ago. */
export async function tidy(repository: Repository, now: number): Promise<void> {
  const { partials } = pathsIn(repository);
  for (const entry of await readdir(partials).catch(() => [] as string[])) {
    const path = join(partials, entry);
    const removed = entry.startsWith('.removed.');
    const old = (await stat(path)).mtimeMs < now - LEFT_DAYS * 86_400_000;
    if (removed || (old && nameOf.safeParse(entry.split('.')[0]).success)) await removeTree(repository, path);
  }
}

/** Destroys a backup: it is no more one before the first of its files goes. */
export async function removeBackup(repository: Repository, vserver: string, id: string): Promise<boolean> {
  const paths = pathsIn(repository);
  const from = paths.backup(vserver, id);
  if (!(await exists(from))) return false;
  await mkdir(paths.partials, { recursive: true, mode: 0o700 });
  const to = join(paths.partials, `.removed.${vserver}.${id}`);
  await removeTree(repository, to);
  await rename(from, to);
  await run(['sync', '-f', repository.path], { timeoutMs: 600_000 });
  await removeTree(repository, to);
  return true;
}
