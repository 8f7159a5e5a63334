import type { BackupLine } from '../../config/backup.ts';
import type { MasterBackup } from '../../shared/contract/backup-scheduler.ts';
import type { MasterArchive } from '../../shared/contract/master-archive.ts';
import type { Context } from '../../shared/service.ts';
import type { Attempts, Book } from './book.ts';
import { dueSlot, failed, noted, succeeded } from './due.ts';
import type { Told } from './health.ts';
import { retention } from './retention.ts';
import { intoWindow, isInWindow, nextSlot, overdueFrom } from './times.ts';

/** The name of its line, by which its jitter is reckoned, too. */
const NAME = '@master';
const LONG_MS = 3_600_000;
const ASK_MS = 600_000;

interface Looked {
  line: BackupLine | undefined;
  entry: Attempts | undefined;
  /** Undefined: the repository could not be asked. */
  archives: MasterArchive[] | undefined;
  now: number;
}
const isMeant = (line: BackupLine | undefined): line is BackupLine =>
  line !== undefined && line.mode !== 'none';
export const repositoryOf = (line: BackupLine): string => line.repository ?? 'main';
const successOf = ({ archives, entry }: Looked): number | undefined =>
  archives ? archives[0]?.taken : entry?.success;

/** The run of its schedule that begins now; undefined: none. */
export function masterDue({ line, entry, now }: Omit<Looked, 'archives'>): number | undefined {
  if (!isMeant(line) || !entry || (entry.retryAt ?? 0) > now || !isInWindow(line, now)) return undefined;
  return dueSlot(line, NAME, entry, now);
}

/** How the archives of the master stand against their schedule; undefined: no line is about them. */
export function masterState(looked: Looked): MasterBackup | undefined {
  const { line, entry, archives = [], now } = looked;
  if (!isMeant(line)) return undefined;
  const success = successOf(looked);
  const late = overdueFrom(line, NAME, success ?? entry?.since ?? now);
  const isFailed = (entry?.failures ?? 0) > 0;
  const slot = entry && dueSlot(line, NAME, entry, now);
  const nextRun =
    slot === undefined ? nextSlot(line, NAME, now)?.at : intoWindow(line, Math.max(now, entry?.retryAt ?? 0));
  return {
    state: entry?.running
      ? 'running'
      : isFailed
        ? 'failed'
        : late !== undefined && now >= late
          ? 'overdue'
          : success === undefined
            ? 'never'
            : 'ok',
    timezone: line.timezone,
    repository: repositoryOf(line),
    count: archives.length,
    ...(line.schedule === undefined ? {} : { schedule: line.schedule }),
    ...(success === undefined ? {} : { lastSuccess: success }),
    ...(archives[0] ? { size: archives[0].bytes } : {}),
    ...(entry?.attempt === undefined ? {} : { lastAttempt: entry.attempt }),
    ...(isFailed && entry?.error !== undefined ? { lastError: entry.error } : {}),
    ...(nextRun === undefined ? {} : { nextRun }),
    ts: now,
  };
}

/** What is to be told of them. */
export function masterAlerts(looked: Looked): Map<string, Told> {
  const alerts = new Map<string, Told>();
  const { line, entry, now } = looked;
  if (!isMeant(line) || !entry) return alerts;
  const success = successOf(looked);
  const had =
    success === undefined ? 'there is none' : `the newest one is of ${new Date(success).toISOString()}`;
  if (entry.failures > 0)
    alerts.set('backup/master-failed', {
      severity: 'warning',
      message: `the archive of the master was not made: ${(entry.error ?? 'unknown').slice(0, 600)}; ${had}. It is tried again by itself`,
    });
  const late = overdueFrom(line, NAME, success ?? entry.since);
  if (late !== undefined && now >= late)
    alerts.set('backup/master-overdue', {
      severity: 'warning',
      message: `an archive of the master is overdue by its line of backup.conf: ${had}. By hand: vs master backup DIRECTORY`,
    });
  return alerts;
}

/** Archives that no rule of the line keeps. The newest one always stays. */
export function archivesToRemove(archives: MasterArchive[], line: BackupLine): MasterArchive[] {
  const all = archives.map((archive) => ({
    ...archive,
    id: archive.file,
    uuid: NAME,
    protected: false,
    faults: [],
  }));
  const gone = retention(all, line.keep, { timezone: line.timezone }).filter((one) => one.by.length === 0);
  return archives.filter(({ file }) => gone.some(({ backup }) => backup.file === file));
}

/** Makes archives of the master's own state by its line, one at a time, and removes those that no rule keeps. */
export function openMaster({ bus, log }: Pick<Context, 'bus' | 'log'>, book: Book) {
  let archives: MasterArchive[] | undefined;
  let of: string | undefined;
  let askedAt = -Infinity;
  let working: Promise<void> | undefined;

  async function list(line: BackupLine): Promise<void> {
    of = repositoryOf(line);
    askedAt = Date.now();
    archives = await bus.request('master', 'master-archive.list', { repository: of }).then(
      (found) => found.archives,
      () => undefined,
    );
  }
  async function keep(line: BackupLine, entry: Attempts, slot: number): Promise<void> {
    const repository = repositoryOf(line);
    const began = Date.now();
    book.master = { ...entry, attempt: began, running: { began, slot } };
    await book.save();
    const mine = () => book.master ?? entry;
    try {
      await bus.request('master', 'master-archive.keep', { repository }, { timeoutMs: LONG_MS });
      book.master = succeeded(mine(), Date.now());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.warn({ error: why }, 'the archive of the master was not made');
      book.master = failed(mine(), why, Date.now());
    }
    await book.save();
    await list(line);
    for (const { file } of book.master.failures > 0 ? [] : archivesToRemove(archives ?? [], line))
      await bus.request('master', 'master-archive.remove', { repository, file });
    await list(line);
  }
  const looked = (line: BackupLine | undefined): Looked => ({
    line,
    entry: book.master,
    archives,
    now: Date.now(),
  });

  return {
    state: (line: BackupLine | undefined) => masterState(looked(line)),
    alerts: (line: BackupLine | undefined) => masterAlerts(looked(line)),
    /** Begins one when it is due; does not wait for it. */
    async look(line: BackupLine | undefined): Promise<void> {
      if (!isMeant(line) || working) return;
      const { running: _, ...rest } = book.master ?? {}; // of a former life: what was due is so still
      const entry = noted(book.master && (rest as Attempts), line, Date.now());
      book.master = entry;
      await book.save();
      if (of !== repositoryOf(line) || Date.now() - askedAt > ASK_MS) await list(line);
      const slot = masterDue({ line, entry, now: Date.now() });
      if (slot === undefined) return;
      working = keep(line, entry, slot)
        .catch((error: unknown) => log.warn({ error: String(error) }, 'old archives of the master'))
        .finally(() => (working = undefined));
    },
  };
}
