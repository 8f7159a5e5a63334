import type { BackupLine } from '../../config/backup.ts';
import type { KeptArchive, MasterBackup } from '../../shared/contract/backup-scheduler.ts';
import type { MasterArchive } from '../../shared/contract/master-archive.ts';
import { VsError } from '../../shared/errors.ts';
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
      message: `an archive of the master is overdue by its line of backup.conf: ${had}. By hand: vs backup run @master`,
    });
  return alerts;
}

/** Which rules of the line keep which archives, the newest first; without one it goes. The newest always stays. */
export function keptBy(archives: MasterArchive[], line: BackupLine): KeptArchive[] {
  const all = archives.map((archive) => ({
    ...archive,
    id: archive.file,
    uuid: NAME,
    protected: false,
    faults: [],
  }));
  const rules = new Map(
    retention(all, line.keep, { timezone: line.timezone }).map(({ backup, by }) => [backup.file, by]),
  );
  return archives.map((one) => ({ ...one, by: rules.get(one.file) ?? [] }));
}
const isGone = ({ by }: KeptArchive): boolean => by.length === 0;

function requireLine(line: BackupLine | undefined): BackupLine {
  if (isMeant(line)) return line;
  throw new VsError(
    'refused',
    'backup.conf has no line that keeps archives of the master; add one such as @master:hot:schedule=daily,keep-daily=14,repository=usb, or: vs master backup DIRECTORY',
  );
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
  /** Makes one; what it is, or why there is none. */
  async function keep(
    line: BackupLine,
    entry: Attempts,
    slot: number | undefined,
  ): Promise<{ archive: MasterArchive } | { error: unknown }> {
    const repository = repositoryOf(line);
    const began = Date.now();
    book.master = { ...entry, attempt: began, running: { began, ...(slot === undefined ? {} : { slot }) } };
    await book.save();
    const mine = () => book.master ?? entry;
    let made: { archive: MasterArchive } | { error: unknown };
    try {
      made = await bus.request('master', 'master-archive.keep', { repository }, { timeoutMs: LONG_MS });
      book.master = succeeded(mine(), Date.now());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log.warn({ error: why }, 'the archive of the master was not made');
      book.master = failed(mine(), why, Date.now());
      made = { error };
    }
    await book.save();
    await list(line);
    if ('archive' in made)
      for (const { file } of keptBy(archives ?? [], line).filter(isGone))
        await bus.request('master', 'master-archive.remove', { repository, file });
    await list(line);
    return made;
  }
  /** Begins one, as the only one; does not wait for it. */
  function begin(line: BackupLine, entry: Attempts, slot: number | undefined): ReturnType<typeof keep> {
    const making = keep(line, entry, slot);
    working = making
      .then(() => undefined)
      .catch((error: unknown) => log.warn({ error: String(error) }, 'old archives of the master'))
      .finally(() => (working = undefined));
    return making;
  }
  function entryOf(line: BackupLine): Attempts {
    const { running: _, ...rest } = book.master ?? {}; // of a former life: what was due is so still
    return noted(book.master && (rest as Attempts), line, Date.now());
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
      const entry = entryOf(line);
      book.master = entry;
      await book.save();
      if (of !== repositoryOf(line) || Date.now() - askedAt > ASK_MS) await list(line);
      const slot = masterDue({ line, entry, now: Date.now() });
      if (slot !== undefined && !working) void begin(line, entry, slot).catch(() => undefined); // begin tells it
    },
    /** One is made now, whatever the schedule says. Throws VsError 'refused' without a line, and why it could not be made. */
    async run(wanted: BackupLine | undefined): Promise<MasterArchive> {
      const line = requireLine(wanted);
      for (let other = working; other; other = working) await other;
      const entry = entryOf(line);
      const made = await begin(line, entry, dueSlot(line, NAME, entry, Date.now()));
      if ('error' in made) throw made.error;
      return made.archive;
    },
    /** Those there are, and those that no rule keeps, which go unless it is only asked. Throws VsError 'refused' without a line. */
    async prune(
      wanted: BackupLine | undefined,
      dryRun: boolean,
    ): Promise<{ kept: KeptArchive[]; removed: KeptArchive[] }> {
      const line = requireLine(wanted);
      const repository = repositoryOf(line);
      const found = await bus.request('master', 'master-archive.list', { repository });
      const all = keptBy(found.archives, line);
      const removed = all.filter(isGone);
      for (const { file } of dryRun ? [] : removed)
        await bus.request('master', 'master-archive.remove', { repository, file });
      if (!dryRun) await list(line);
      return { kept: all.filter((one) => !isGone(one)), removed };
    },
  };
}
