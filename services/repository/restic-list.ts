import { join } from 'node:path';
import { z } from 'zod';
import type { ResticRepository } from '../../config/repositories.ts';
import { type BackupRecord, backupRecord } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import { isMounted } from '../../shared/mount.ts';
import { exists, readJson, removeFileDurable, writeJson } from '../../shared/store.ts';
import { newestFirst } from './records.ts';
import { isMissing, parseOutput, restic } from './restic.ts';
import { OPEN, type Snapshot, recordsIn, snapshots } from './restic-record.ts';
import { markFile } from './restic-secrets.ts';

/** A list is waited for so long: the callers wait a minute. */
const LIST_MS = 45_000;
const mark = z.object({ version: z.literal(1), id: z.string().regex(/^[0-9a-f]{64}$/) });
const configuration = z.object({ id: mark.shape.id });
/** What is known of a backup beside its snapshot. */
const facts = backupRecord.pick({ verified: true, faults: true, proof: true });
const factsFile = ({ home }: ResticRepository, vserver: string, id: string) =>
  join(home, 'facts', `${vserver}.${id}.json`);

/** Throws VsError 'refused' where its disk is not mounted. */
export async function requireMounted({ name, location, mounted }: ResticRepository): Promise<void> {
  if (mounted && !(await isMounted(location)))
    throw new VsError('refused', `nothing is mounted at ${location}, where repository ${name} is: mount it`);
}

const idOf = async (repository: ResticRepository): Promise<string> =>
  parseOutput(
    (await restic(repository, ['cat', 'config', '--no-lock'], { timeoutMs: LIST_MS })).stdout,
    configuration,
    'cat config',
  ).id;

/** Makes the repository where there never was one; else it must be the same one. Throws VsError 'refused'. */
export async function requireSame(repository: ResticRepository): Promise<void> {
  await requireMounted(repository);
  const { name, location } = repository;
  const known = await readJson(markFile(repository), mark);
  const found = await idOf(repository).catch(async (error: unknown) => {
    if (!isMissing(error)) throw error;
    if (known)
      throw new VsError(
        'refused',
        `there is no restic repository at ${location} any more (repository ${name}). If it is gone for good, begin a new one: rm ${markFile(repository)}`,
      );
    await restic(repository, ['init']);
    return idOf(repository);
  });
  if (known && known.id !== found)
    throw new VsError(
      'refused',
      `at ${location} is another restic repository than before (${found.slice(0, 8)}, not ${known.id.slice(0, 8)}). If that is right: rm ${markFile(repository)}`,
    );
  if (!known) await writeJson(markFile(repository), mark, { version: 1, id: found });
}

/** The snapshots that we have made, of one vserver or of all; none where there is no repository yet. */
async function snapshotsOf(repository: ResticRepository, tags: string[]): Promise<Snapshot[]> {
  await requireMounted(repository);
  const asked = ['snapshots', '--json', '--no-lock', ...tags.flatMap((tag) => ['--tag', tag])];
  try {
    const { stdout } = await restic(repository, asked, { timeoutMs: LIST_MS });
    return parseOutput(stdout, snapshots, 'snapshots') ?? [];
  } catch (error) {
    if (isMissing(error) && !(await exists(markFile(repository)))) return [];
    throw error;
  }
}

/** The backups of a repository with the snapshots of each, the newest first. */
export async function resticBackups(repository: ResticRepository, vserver?: string) {
  const found = await snapshotsOf(repository, [vserver === undefined ? 'vs' : `vs,vserver=${vserver}`]);
  const { all, faults } = recordsIn(found, repository.name);
  const known = await Promise.all(
    all.map(async (one) => {
      const { vserver: of, id } = one.record;
      const more = await readJson(factsFile(repository, of, id), facts).catch(() => undefined);
      return { ...one, record: { ...one.record, ...more } };
    }),
  );
  return { all: known.toSorted((a, b) => newestFirst(a.record, b.record)), faults };
}

/** Of one vserver: its backups, and what sagas that were interrupted have left, the newest first. */
export async function allOf(repository: ResticRepository, vserver: string) {
  const found = await snapshotsOf(repository, [`vs,vserver=${vserver}`, `${OPEN},vserver=${vserver}`]);
  const open = found.filter(({ tags }) => tags.includes(OPEN) && !tags.includes('vs'));
  return {
    backups: recordsIn(found, repository.name).all.toSorted((a, b) => newestFirst(a.record, b.record)),
    open: open.toSorted((a, b) => (a.time < b.time ? 1 : -1)),
  };
}

/** As listRecords of a tree. */
export async function listRestic(
  repository: ResticRepository,
  vserver?: string,
): Promise<{ backups: BackupRecord[]; faults: string[] }> {
  const { all, faults } = await resticBackups(repository, vserver);
  return { backups: all.map((one) => one.record), faults };
}

/** One backup with its snapshots. Throws VsError 'not-found'. */
export async function resticBackup(repository: ResticRepository, vserver: string, id: string) {
  const { all } = await resticBackups(repository, vserver);
  const found = all.find((one) => one.record.id === id);
  if (!found)
    throw new VsError('not-found', `repository ${repository.name} has no backup ${id} of ${vserver}`);
  return { ...found, snapshot: found.snapshots[0] ?? '' };
}

export const noteFacts = (
  repository: ResticRepository,
  { vserver, id, verified, faults, proof }: BackupRecord,
) => writeJson(factsFile(repository, vserver, id), facts, { verified, faults, proof });
export const dropFacts = (repository: ResticRepository, vserver: string, id: string) =>
  removeFileDurable(factsFile(repository, vserver, id)).catch(() => undefined);

/** It is there while data of no snapshot may lie in the repository. */
export const pruneFile = ({ home }: ResticRepository): string => join(home, 'unpruned');
