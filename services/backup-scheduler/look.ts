import { type BackupLine, lineOf } from '../../config/backup.ts';
import type { BackupState } from '../../shared/contract/backup-scheduler.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Attempts } from './book.ts';
import type { Place } from './due.ts';
import { type Told, alertsOf, stateOf, uncoveredAlert } from './health.ts';
import type { Records } from './records.ts';

interface Known {
  file: { file: string; lines: BackupLine[]; fault: string | undefined };
  book: Readonly<Record<string, Attempts>>;
  /** Of the tests of their backups. */
  tests?: Readonly<Record<string, Attempts>>;
  records: Pick<Records, 'of' | 'names' | 'faults'>;
  vservers: Place[];
  sagas: SagaState[];
  waits: ReadonlyMap<string, string>;
  now: number;
}

/** The sagas of backups that run, by vserver. */
export const backupsOf = (sagas: SagaState[]): SagaState[] =>
  sagas.filter((one) => one.kind === 'backup' && one.result === 'running');

/** Vservers of the pool that no line names, and no `*`. */
export const uncoveredOf = (lines: BackupLine[], vservers: Place[]): string[] =>
  vservers
    .map((one) => one.name)
    .filter((name) => !lineOf(lines, name))
    .sort();

/** All that is told of the backups: the state of each vserver that has a line or backups, and what is wrong. */
export function lookAtAll({ file, book, tests = {}, records, vservers, sagas, waits, now }: Known): {
  states: BackupState[];
  uncovered: string[];
  alerts: Map<string, Told>;
} {
  const { lines } = file;
  const there = new Set(vservers.map((one) => one.name));
  const running = new Map(backupsOf(sagas).map((one) => [one.vserver, one.id]));
  const names = new Set([
    ...vservers.map((one) => one.name).filter((name) => lineOf(lines, name)),
    ...lines.map((one) => one.name).filter((name) => name !== '*'),
    ...records.names(),
  ]);
  const states: BackupState[] = [];
  const alerts = new Map<string, Told>();
  for (const vserver of [...names].sort()) {
    const looked = {
      vserver,
      exists: there.has(vserver),
      line: lineOf(lines, vserver),
      entry: book[vserver],
      test: tests[vserver],
      records: records.of(vserver),
      saga: running.get(vserver),
      waits: waits.get(vserver),
      now,
    };
    states.push(stateOf(looked));
    for (const [check, alert] of Object.entries(alertsOf(looked))) alerts.set(`${vserver}/${check}`, alert);
  }
  const uncovered = uncoveredOf(lines, vservers);
  const missing = uncoveredAlert(uncovered, file.file);
  if (missing) alerts.set('backup/uncovered', missing);
  if (file.fault !== undefined)
    alerts.set('backup/config', {
      severity: 'warning',
      message: `${file.fault.slice(0, 1500)}\nThe last backup.conf without a fault stays in force. See: vs backup schedule --check`,
    });
  if (records.faults.length > 0)
    alerts.set('backup/repository', {
      severity: 'warning',
      message: records.faults.slice(0, 5).join('\n').slice(0, 1500),
    });
  return { states, uncovered, alerts };
}
