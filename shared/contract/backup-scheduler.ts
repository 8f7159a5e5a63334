import { z } from 'zod';
import { backupId, backupMode, repositoryName } from './backup.ts';
import { type CommandSpec, masterCommand } from './command.ts';
import { masterArchive } from './master-archive.ts';
import { bytes, hostName, id, name, ts } from './names.ts';

/**
 * `vs/1/backups/{vserver}/state`, retained: how the backups of a vserver stand against their schedule. Of a vserver that has
 * neither a line of backup.conf nor backups there is none.
 */
export const backupState = z.looseObject({
  vserver: name,
  /** none: nothing is to be done by itself, as with a vserver that is gone; never: not yet. */
  state: z.enum(['ok', 'running', 'overdue', 'failed', 'never', 'none']),
  mode: backupMode.optional(),
  /** Five fields of cron, in `timezone`. */
  schedule: z.string().max(100).optional(),
  timezone: z.string().max(64).optional(),
  repository: repositoryName.optional(),
  /** The moment that the newest good backup is of. */
  lastSuccess: ts.optional(),
  lastAttempt: ts.optional(),
  lastError: z.string().max(1000).optional(),
  /** Of the newest good backup. */
  size: bytes.optional(),
  count: z.int().min(0),
  /** Those that verify found faulty. */
  faulty: z.int().min(0).optional(),
  nextRun: ts.optional(),
  /** When a backup of it was last proved (vs backup test); and what the newest test found that was not well, or why there was none. */
  lastProof: ts.optional(),
  testError: z.string().max(1000).optional(),
  /** What keeps a backup that is due from beginning. */
  waits: z.string().max(300).optional(),
  saga: id.optional(),
  /** There are backups or a line, but no such vserver. */
  gone: z.boolean().optional(),
  ts,
});
export type BackupState = z.infer<typeof backupState>;

/** How the archives of the master's own state stand against their line of backup.conf. */
export const masterBackup = backupState
  .pick({
    state: true,
    schedule: true,
    timezone: true,
    repository: true,
    lastSuccess: true,
    lastAttempt: true,
    lastError: true,
    size: true,
    count: true,
    nextRun: true,
    ts: true,
  })
  .required({ repository: true });
export type MasterBackup = z.infer<typeof masterBackup>;

/** One backup, and which rules keep it; none of them: it goes. */
export const keptBackup = z.object({
  id: backupId,
  repository: repositoryName,
  taken: ts,
  bytes,
  by: z.array(z.string().max(100)),
});
export type KeptBackup = z.infer<typeof keptBackup>;

/** One archive of the master's own state, and which rules of the line @master keep it; none of them: it goes. */
export const keptArchive = masterArchive.extend({ by: z.array(z.string().max(100)) });
export type KeptArchive = z.infer<typeof keptArchive>;

/** A line of backup.conf as it is in force. */
export const backupPlan = z.object({
  name: z.string().max(32), // * for all others
  line: z.int(),
  mode: z.enum(['hot', 'cold', 'none']),
  schedule: z.string().optional(),
  test: z.string().optional(), // when its newest good backup is proved
  timezone: z.string(),
  repository: repositoryName.optional(),
  keep: z.record(z.string(), z.int()),
  bandwidth: bytes.optional(),
  window: z.string().optional(),
  jitter: z.int().optional(), // ms
});
export type BackupPlan = z.infer<typeof backupPlan>;

const names = z.array(name).min(1).max(1000).optional();

/** How one backup that was asked for ended. */
export const backupRun = z.object({
  vserver: name,
  ok: z.boolean(),
  saga: id.optional(),
  ms: z.number().optional(),
  message: z.string().max(2000).optional(),
});
export type BackupRun = z.infer<typeof backupRun>;

export const backupSchedulerCommands = {
  'backup-scheduler.status': masterCommand(
    'how the backups stand: of each vserver that has a line of backup.conf or backups, and which have neither',
    z.strictObject({ names }),
    z.object({
      vservers: z.array(backupState),
      master: masterBackup.optional(), // where backup.conf has a line for it
      uncovered: z.array(name), // no line names them, and no *
      faults: z.array(z.string()), // of backup.conf and of repositories
    }),
  ),
  'backup-scheduler.schedule': masterCommand(
    'the lines of backup.conf in force, and the next runs of each vserver; fault: what the file has now is not in force, for that',
    z.strictObject({ names, next: z.int().min(0).max(1000).optional() }),
    z.object({
      file: z.string(),
      fault: z.string().optional(),
      lines: z.array(backupPlan),
      runs: z.array(z.object({ vserver: name, line: z.int(), at: z.array(ts) })),
    }),
  ),
  'backup-scheduler.prune': masterCommand(
    'remove the backups that no rule of backup.conf keeps; never the only good one, a protected one, or the source of a restore',
    z.strictObject({ names, dryRun: z.boolean().optional() }),
    z.object({
      vservers: z.array(
        z.object({
          vserver: name,
          kept: z.array(keptBackup),
          removed: z.array(keptBackup), // with dryRun: those that would be
          skipped: z.string().optional(), // why nothing of it is removed now
          faults: z.array(z.string()).optional(), // what could not be removed
        }),
      ),
    }),
  ),
  'backup-scheduler.run': masterCommand(
    'back up these vservers, or all of backup.conf, now, a few at a time; with wait: answers when the last has ended, with progress meanwhile',
    z.strictObject({ names, host: hostName.optional(), wait: z.boolean().optional() }),
    z.object({
      asked: z.array(name),
      runs: z.array(backupRun), // with wait
    }),
  ),
  'backup-scheduler.master-run': masterCommand(
    'an archive of the master’s own state is made now, as the line @master of backup.conf says, and what no rule of it keeps goes',
    z.strictObject({}),
    z.object({ archive: masterArchive }),
  ),
  'backup-scheduler.master-prune': masterCommand(
    'remove the archives of the master that no rule of the line @master keeps; with dryRun: those there are, and which would go',
    z.strictObject({ dryRun: z.boolean().optional() }),
    z.object({
      kept: z.array(keptArchive), // the newest first
      removed: z.array(keptArchive), // with dryRun: those that would be
    }),
  ),
} satisfies Record<string, CommandSpec>;
