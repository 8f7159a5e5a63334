import type { BackupRecord } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import type { Client } from '../client.ts';
import { checkName, quoted } from '../names.ts';

/** Checks the id of a backup; `latest` is one too where a verb takes it. */
export function checkBackup(text: string): string {
  if (/^\d{8}T\d{6}Z(-\d{1,3})?$/.test(text)) return text;
  throw new VsError(
    'usage',
    `${quoted(text)} is no id of a backup, such as 20261127T030000Z; "vs backup list" shows them.`,
  );
}

/** A moment that a person gave: 2026-11-27, "2026-11-27 03:00" (local time), an ISO time with its zone, or an id. */
export function parseMoment(text: string): number {
  const id = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(?:-\d{1,3})?$/.exec(text);
  if (id) return Date.parse(`${id[1]}-${id[2]}-${id[3]}T${id[4]}:${id[5]}:${id[6]}Z`) + 999;
  const day = /^\d{4}-\d\d-\d\d$/.test(text);
  const ts = /^\d{4}-\d\d-\d\d/.test(text)
    ? Date.parse(day ? `${text}T23:59:59.999` : text.replace(' ', 'T'))
    : NaN;
  if (Number.isSafeInteger(ts) && ts >= 0) return ts;
  throw new VsError(
    'usage',
    `${quoted(text)} is no moment: it is 2026-11-27 (the end of that day) or "2026-11-27 03:00", of the local time.`,
  );
}

export interface Where {
  repository?: string;
}
export const repositoryOf = ({ repository }: Where): Where =>
  repository === undefined ? {} : { repository: checkName(repository, 'repository') };

/** The backups of a vserver, the newest first. */
export async function listOf(client: Client, vserver: string, where: Where): Promise<BackupRecord[]> {
  const asked = { vserver, ...repositoryOf(where) };
  return (await client.request('master', 'repository.list', asked, { timeoutMs: 60_000 })).backups;
}

/** The newest in which no fault was found, until a moment. Throws 'not-found', or 'refused' when all have faults. */
export function newestGood(backups: BackupRecord[], vserver: string, at?: number): BackupRecord {
  const some = backups.filter((one) => at === undefined || one.taken <= at);
  const good = some.find((one) => (one.faults ?? []).length === 0);
  if (good) return good;
  const when = at === undefined ? '' : ' of that moment or before';
  if (some.length === 0)
    throw new VsError(
      'not-found',
      `There is no backup of ${vserver}${when}; "vs backup list" shows those there are.`,
    );
  throw new VsError(
    'refused',
    `Every backup of ${vserver}${when} has faults (vs backup show ${vserver}); name one with --id to take it all the same.`,
  );
}

/** The backup that is meant: of an id, or the newest one. Throws 'not-found'. */
export async function pick(
  client: Client,
  vserver: string,
  id: string | undefined,
  where: Where,
): Promise<BackupRecord> {
  const wanted = id === undefined || id === 'latest' ? undefined : checkBackup(id);
  const backups = await listOf(client, vserver, where);
  const some = backups.filter((one) => wanted === undefined || one.id === wanted);
  const found = some[0];
  if (!found)
    throw new VsError(
      'not-found',
      `There is no backup ${wanted === undefined ? '' : `${wanted} `}of ${vserver}; "vs backup list" shows those there are.`,
    );
  if (wanted !== undefined && some.length > 1)
    throw new VsError(
      'conflict',
      `${wanted} of ${vserver} is in more than one repository; name it: --repository ${found.repository}`,
    );
  return found;
}
