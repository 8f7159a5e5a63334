import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { ResticRepository } from '../../config/repositories.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { TakenBackup } from '../../shared/contract/repository.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import {
  exists,
  readJson,
  removeFileDurable,
  renameDurable,
  writeFileDurable,
  writeJson,
} from '../../shared/store.ts';
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
import { freeId } from './records.ts';
import { allOf, pruneFile, requireSame } from './restic-list.ts';
import { OPEN, tagsOf } from './restic-record.ts';
import { parseOutput, restic } from './restic.ts';
import { treesOf } from './trees.ts';

const LONG_MS = 48 * 3_600_000;
const program = new URL('restic-holes.pl', import.meta.url).pathname;
const listed = z.object({ files: z.int(), bytes: z.int() });
const summary = z.object({
  message_type: z.literal('summary'),
  snapshot_id: z.string().regex(/^[0-9a-f]{8,64}$/),
  data_added: z.int().min(0),
});

/** The working tree of a vserver between two backups: as its last backup has it. */
const keptOf = ({ path }: ResticRepository, name: string): string => join(path, 'kept', name);
const answer = (one: Opened, free: number) => ({ ...answerOf(one), shares: 'chunks' as const, free });

/** As openBackup of a tree: the working tree of the vserver, which the saga has for itself now. */
export async function openRestic(
  repository: ResticRepository,
  { name, saga, bytes }: { name: string; saga: string; bytes: number },
) {
  const path = pathsIn(repository).partial(name, saga);
  const { free } = await storageOf(repository);
  const known = await readJson(join(path, OPEN_FILE), opened);
  if (known) return answer(known, free);
  await requireSame(repository);
  await treesOf.links.remove(path);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const kept = keptOf(repository, name);
  const left = await leftOf(repository, name);
  for (const from of [...left, kept]) {
    const begun = await readJson(join(from, OPEN_FILE), opened).catch(() => undefined);
    if (!begun || !(await exists(join(from, 'tree')))) continue;
    const now = { ...begun, resumed: begun.resumed || from !== kept };
    for (const one of [...left, kept].filter((other) => other !== from)) await treesOf.links.remove(one);
    await writeJson(join(from, OPEN_FILE), opened, now);
    await renameDurable(from, path);
    return answer(now, free);
  }
  for (const one of [...left, kept]) await treesOf.links.remove(one);
  if (bytes * 1.05 > free)
    throw new VsError(
      'refused',
      `repository ${repository.name} keeps a working tree of each vserver: ${repository.path} has ${(free / 1e6).toFixed(0)} MB free, and ${((bytes * 1.05) / 1e6).toFixed(0)} MB are needed (stage=/path in repositories.conf puts them elsewhere)`,
    );
  const fresh: Opened = { version: 1, resumed: false };
  await treesOf.links.create(join(path, 'tree'));
  await writeJson(join(path, OPEN_FILE), opened, fresh);
  return answer(fresh, free);
}

/** Where the tree of an open backup is. Throws VsError 'conflict'. */
export async function placeRestic(
  repository: ResticRepository,
  { name, saga }: { name: string; saga: string },
): Promise<{ path: string; links: boolean }> {
  const path = join(pathsIn(repository).partial(name, saga), 'tree');
  if (!(await exists(path))) throw notOpen(repository, { name, saga });
  return { path, links: false };
}

/** The working tree is that of this backup from now on. */
async function keep(
  repository: ResticRepository,
  name: string,
  saga: string,
  record: BackupRecord,
): Promise<void> {
  const path = pathsIn(repository).partial(name, saga);
  if (!(await exists(path))) return;
  const kept = keptOf(repository, name);
  await mkdir(dirname(kept), { recursive: true, mode: 0o700 });
  await removeFileDurable(join(path, 'holes'));
  await writeJson(join(path, OPEN_FILE), opened, {
    version: 1,
    basis: record.id,
    taken: record.taken,
    resumed: false,
  });
  await treesOf.links.remove(kept);
  await renameDurable(path, kept);
}

/**
 * The open backup of a saga becomes one. restic writes its snapshot with the mark of an open one; that it ended well makes it one
 * that is listed, by a change of its tags, which hold the record.
 */
export async function sealRestic(
  repository: ResticRepository,
  { name, saga, backup }: { name: string; saga: string; backup: TakenBackup },
): Promise<BackupRecord> {
  const path = pathsIn(repository).partial(name, saga);
  const { backups, open } = await allOf(repository, name);
  const before = backups.find(({ record }) => record.saga === saga);
  if (before) {
    await keep(repository, name, saga, before.record);
    return before.record;
  }
  const tree = join(path, 'tree');
  const begun = await readJson(join(path, OPEN_FILE), opened);
  if (!begun || !(await exists(tree))) throw notOpen(repository, { name, saga });
  const config = await configIn(tree, name, backup.uuid);
  const holes = join(path, 'holes');
  const counted = await run(['nice', '-n', '10', 'perl', program, 'list', tree, holes], {
    timeoutMs: LONG_MS,
  });
  const { files, bytes } = listed.parse(JSON.parse(counted.stdout));
  const basis = backups.find(({ record }) => record.id === begun.basis);
  // what an interrupted one has read is not read again
  const parent = open[0]?.id ?? basis?.snapshots[0] ?? backups[0]?.snapshots[0];
  const wasPruned = !(await exists(pruneFile(repository)));
  await writeFileDurable(pruneFile(repository), 'an interrupted backup, or a removed one, has left data\n');
  const asked = [
    'backup',
    '--json',
    '--quiet',
    '--host',
    'vs',
    ...[OPEN, `vserver=${name}`, `saga=${saga}`].flatMap((tag) => ['--tag', tag]),
    ...(parent === undefined ? [] : ['--parent', parent]),
    '--',
    'tree',
    'holes',
  ];
  const { stdout } = await restic(repository, asked, { cwd: path, gently: true, timeoutMs: LONG_MS });
  const done = parseOutput(stdout.trim().split('\n').at(-1) ?? '', summary, 'backup');
  const record = recordFor(
    repository,
    { name, saga },
    {
      backup,
      config,
      basis: basis?.record.id,
      id: freeId(backup.taken, new Set(backups.map((one) => one.record.id))),
      bytes,
      files,
      addedBytes: done.data_added,
    },
  );
  await restic(repository, ['tag', ...tagsOf(record).flatMap((tag) => ['--set', tag]), done.snapshot_id]);
  if (open.length > 0) await restic(repository, ['forget', ...open.map((one) => one.id)]);
  else if (wasPruned) await removeFileDurable(pruneFile(repository));
  await keep(repository, name, saga, record);
  return record;
}

/** Ends an open backup. Its working tree may be the start of the next one, where there is room for it. */
export async function discardRestic(
  repository: ResticRepository,
  { name, saga, keep: keeps }: { name: string; saga: string; keep?: boolean | undefined },
): Promise<void> {
  const path = pathsIn(repository).partial(name, saga);
  const { free, total } = await storageOf(repository);
  if (keeps && (await exists(join(path, OPEN_FILE))) && free > total * LEAST_FREE) return;
  await treesOf.links.remove(path);
}

const KEEP_DAYS = 60;

/** Removes what was left long ago: working trees of vservers that nobody backs up any more, and what restores have fetched. */
export async function tidyRestic(repository: ResticRepository, now: number): Promise<void> {
  const { path, home } = repository;
  for (const [directory, days, pattern] of [
    [join(path, 'kept'), KEEP_DAYS, /./],
    [join(path, '.partial'), KEEP_DAYS, /./],
    [join(path, '.fetched'), 7, /./],
    [join(home, 'cache'), 1, /^restic-check-cache-/],
  ] as const)
    for (const entry of await readdir(directory).catch(() => [] as string[])) {
      const one = join(directory, entry);
      const at = (await stat(one).catch(() => undefined))?.mtimeMs ?? now;
      if (!pattern.test(entry) || at >= now - days * 86_400_000) continue;
      const gone = join(directory, `.removed.${entry}`);
      if (!entry.startsWith('.removed.')) await rename(one, gone);
      await treesOf.links.remove(entry.startsWith('.removed.') ? one : gone);
    }
}
