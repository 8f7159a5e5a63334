import { readdir, stat } from 'node:fs/promises';
import type { Repository } from '../../config/repositories.ts';
import { type BackupRecord, backupId, backupRecord } from '../../shared/contract/backup.ts';
import { name as nameOf } from '../../shared/contract/names.ts';
import { VsError } from '../../shared/errors.ts';
import { readJson } from '../../shared/store.ts';
import { pathsIn } from './place.ts';

/** The newest first; of one moment the one that was whole later. */
export const newestFirst = (a: BackupRecord, b: BackupRecord): number =>
  b.taken - a.taken || b.finished - a.finished || (a.id < b.id ? 1 : -1);

/** The id of a backup of a moment that none of these has yet. */
export function freeId(taken: number, used: ReadonlySet<string>): string {
  const plain = `${new Date(taken).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  for (let count = 1; ; count++) {
    const id = count === 1 ? plain : `${plain}-${count}`;
    if (!used.has(id)) return id;
  }
}

/** The record of one backup. Throws VsError 'not-found', or 'failed' when it is damaged. */
export async function recordOf(repository: Repository, vserver: string, id: string): Promise<BackupRecord> {
  const file = pathsIn(repository).record(vserver, id);
  const record = await readJson(file, backupRecord);
  if (!record)
    throw new VsError('not-found', `repository ${repository.name} has no backup ${id} of ${vserver}`);
  if (record.id !== id || record.vserver !== vserver)
    throw new VsError(
      'failed',
      `${file} is of backup ${record.id} of ${record.vserver}: it lies in a wrong place`,
    );
  // a repository may be called otherwise today
  return { ...record, repository: repository.name };
}

/** The backups of a repository, the newest first; what cannot be read is told, and hides no other. */
export async function listRecords(
  repository: Repository,
  only?: string,
): Promise<{ backups: BackupRecord[]; faults: string[] }> {
  const paths = pathsIn(repository);
  const backups: BackupRecord[] = [];
  const faults: string[] = [];
  const vservers = only === undefined ? await readdir(repository.path).catch(() => []) : [only];
  for (const vserver of vservers.filter((one) => nameOf.safeParse(one).success)) {
    for (const id of await readdir(paths.vserver(vserver)).catch(() => [] as string[])) {
      if (!backupId.safeParse(id).success) continue;
      try {
        backups.push(await recordOf(repository, vserver, id));
      } catch (error) {
        const gone = !(await stat(paths.backup(vserver, id)).catch(() => undefined));
        if (!gone)
          faults.push(
            error instanceof VsError && error.code === 'not-found'
              ? `${paths.backup(vserver, id)} has no backup.json, so it is no backup`
              : (error as Error).message,
          );
      }
    }
  }
  return { backups: backups.toSorted(newestFirst), faults };
}

/** A reply has less than 1 MB (the broker's packets): so many bytes of records fit. */
const REPLY_BYTES = 900_000;
/** As many of the newest as fit into a reply. */
export function fitting(backups: BackupRecord[]): { backups: BackupRecord[]; leftOff?: number } {
  let left = REPLY_BYTES;
  const end = backups.findIndex((one) => (left -= JSON.stringify(one).length) < 0);
  return end < 0 ? { backups } : { backups: backups.slice(0, end), leftOff: backups.length - end };
}
