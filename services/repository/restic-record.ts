import { z } from 'zod';
import { type BackupRecord, backupRecord } from '../../shared/contract/backup.ts';

/** One snapshot as `restic snapshots --json` has it. */
export const snapshot = z.object({
  id: z.string().regex(/^[0-9a-f]{64}$/),
  time: z.string().max(64),
  tags: z.array(z.string().max(400)).max(100).default([]),
});
export const snapshots = z.array(snapshot).max(200_000).nullable();
export type Snapshot = z.infer<typeof snapshot>;

/** On a snapshot that is whole, and on one that is being taken: nobody lists that. */
export const WHOLE = 'vs';
export const OPEN = 'vs-open';
const PROTECTED = 'protected';

const texts = [
  'id',
  'vserver',
  'uuid',
  'host',
  'mode',
  'kind',
  'network',
  'address',
  'address6',
  'saga',
  'basis',
] as const;
const numbers = ['epoch', 'taken', 'finished', 'bytes', 'files', 'addedBytes'] as const;
const flags = ['running', 'enabled'] as const;

/** The tags that hold all of the record: who has the repository and its key needs nothing else. */
export function tagsOf(record: BackupRecord): string[] {
  const keyed = [...texts, ...numbers, ...flags]
    .filter((key) => record[key] !== undefined)
    .map((key) => `${key}=${String(record[key])}`);
  return [WHOLE, ...(record.protected ? [PROTECTED] : []), ...keyed];
}

/** The record in the tags of a snapshot; or why it is none. */
export function recordIn({ id, tags }: Snapshot, repository: string): BackupRecord | string {
  const value = new Map(tags.map((tag) => [tag.split('=')[0] ?? '', tag.slice(tag.indexOf('=') + 1)]));
  const object: Record<string, unknown> = { version: 1, repository, protected: tags.includes(PROTECTED) };
  for (const key of texts) if (value.has(key)) object[key] = value.get(key);
  for (const key of numbers) if (value.has(key)) object[key] = Number(value.get(key));
  for (const key of flags) if (value.has(key)) object[key] = value.get(key) === 'true';
  const parsed = backupRecord.safeParse(object);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join('.') ?? '';
  return `snapshot ${id.slice(0, 8)} of repository ${repository} has a tag that is none of ours: ${where}`;
}

/**
 * The backups in the snapshots of a repository, with the snapshots of each: a change of tags that was interrupted leaves two of one,
 * and what either of them keeps is kept.
 */
export function recordsIn(
  found: Snapshot[],
  repository: string,
): { all: { record: BackupRecord; snapshots: string[] }[]; faults: string[] } {
  const byId = new Map<string, { record: BackupRecord; snapshots: string[] }>();
  const faults: string[] = [];
  for (const one of found.filter(({ tags }) => tags.includes(WHOLE))) {
    const record = recordIn(one, repository);
    if (typeof record === 'string') {
      faults.push(record);
      continue;
    }
    const key = `${record.vserver} ${record.id}`;
    const other = byId.get(key);
    byId.set(key, {
      record: { ...record, protected: record.protected || other?.record.protected === true },
      snapshots: [...(other?.snapshots ?? []), one.id],
    });
  }
  return { all: [...byId.values()], faults };
}
