import type { BackupLine } from '../../config/backup.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { BackupState } from '../../shared/contract/backup-scheduler.ts';

import type { Attempts } from './book.ts';
import { dueSlot } from './due.ts';
import { isGood } from './retention.ts';
import { lastProofOf, testFault } from './tests.ts';
import { intoWindow, nextSlot, overdueFrom } from './times.ts';

/** An alert, without its time. */
export interface Told {
  severity: 'warning' | 'critical';
  message: string;
}
export interface Looked {
  vserver: string;
  /** Is it in the pool? */
  exists: boolean;
  line: BackupLine | undefined;
  entry: Attempts | undefined;
  /** Of the tests of its backups. */
  test?: Attempts | undefined;
  /** Its backups; undefined: no repository could be asked. */
  records: BackupRecord[] | undefined;
  /** The saga of a backup that runs. */
  saga: string | undefined;
  waits: string | undefined;
  now: number;
}

/** The moment that its newest good backup is of. */
function successOf({ records, entry }: Looked): { at: number; size?: number } | undefined {
  if (!records) return entry?.success === undefined ? undefined : { at: entry.success };
  const newest = records
    .filter(isGood)
    .reduce<BackupRecord | undefined>(
      (best, one) => (best && best.taken >= one.taken ? best : one),
      undefined,
    );
  return newest && { at: newest.taken, size: newest.bytes };
}

function nextRunOf({ line, entry, vserver, exists, now }: Looked): number | undefined {
  if (!exists || !line || !entry || entry.running) return undefined;
  if (entry.asked !== undefined) return now;
  const slot = dueSlot(line, vserver, entry, now);
  if (slot === undefined) return nextSlot(line, vserver, now)?.at;
  return intoWindow(line, Math.max(now, entry.retryAt ?? 0));
}

/** Decides how the backups of a vserver stand. */
export function stateOf(looked: Looked): BackupState {
  const { vserver, exists, entry, records = [], saga, waits, now } = looked;
  const line = looked.line?.mode === 'none' ? undefined : looked.line;
  const success = successOf(looked);
  const since = success?.at ?? entry?.since;
  const late = line && since !== undefined ? overdueFrom(line, vserver, since) : undefined;
  const isFailed = entry !== undefined && entry.failures > 0 && (success?.at ?? 0) < (entry.attempt ?? 0);
  const runs = saga !== undefined || entry?.running !== undefined;
  const state = runs
    ? 'running'
    : !exists || !line
      ? 'none'
      : isFailed
        ? 'failed'
        : late !== undefined && now >= late
          ? 'overdue'
          : success
            ? 'ok'
            : 'never';
  const nextRun = line && nextRunOf({ ...looked, line });
  const faulty = records.filter((one) => !isGood(one)).length;
  const lastProof = lastProofOf(records, looked.test);
  const fault = testFault(records, looked.test);
  return {
    vserver,
    state,
    ...(line && line.mode !== 'none' ? { mode: line.mode, timezone: line.timezone } : {}),
    ...(line?.schedule === undefined ? {} : { schedule: line.schedule }),
    ...(line?.repository === undefined ? {} : { repository: line.repository }),
    ...(success ? { lastSuccess: success.at } : {}),
    ...(success?.size === undefined ? {} : { size: success.size }),
    ...(entry?.attempt === undefined ? {} : { lastAttempt: entry.attempt }),
    ...(entry?.error === undefined ? {} : { lastError: entry.error }),
    count: records.length,
    ...(faulty > 0 ? { faulty } : {}),
    ...(nextRun === undefined ? {} : { nextRun }),
    ...(lastProof === undefined ? {} : { lastProof }),
    ...(fault ? { testError: fault.text } : {}),
    ...(waits === undefined ? {} : { waits }),
    ...(saga === undefined ? {} : { saga }),
    ...(exists ? {} : { gone: true }),
    ts: now,
  };
}

const moment = (at: number, timezone: string) =>
  `${new Date(at).toLocaleString('sv-SE', { timeZone: timezone }).slice(0, 16)} ${timezone}`;

/** What is to be told of one vserver, by check. */
export function alertsOf(looked: Looked): Record<string, Told> {
  const { vserver, line, entry, records, now, exists } = looked;
  const alerts: Record<string, Told> = {};
  const success = successOf(looked);
  const had = success
    ? `the last good one is of ${moment(success.at, line?.timezone ?? 'UTC')}`
    : 'there is none';
  if (exists && line && line.mode !== 'none' && entry) {
    if (entry.failures > 0 && (success?.at ?? 0) < (entry.attempt ?? 0))
      alerts['backup-failed'] = {
        severity: 'warning',
        message: `the backup of ${vserver} failed: ${(entry.error ?? 'unknown').slice(0, 600)}; ${had}. Mend that, then: vs backup run ${vserver}`,
      };
    const late = overdueFrom(line, vserver, success?.at ?? entry.since);
    if (late !== undefined && now >= late)
      alerts['backup-overdue'] = {
        severity: 'critical',
        message: `the backup of ${vserver} is overdue by its schedule "${line.schedule}" (line ${line.line} of backup.conf): ${had}. See: vs backup status ${vserver}`,
      };
  }
  const fault = testFault(records ?? [], looked.test);
  if (fault)
    alerts['backup-test'] = fault.bad
      ? {
          severity: 'critical',
          message: `a backup of ${vserver} was restored, and is not well: ${fault.text}. See: vs backup show ${vserver}; after it is mended: vs backup test ${vserver}`,
        }
      : {
          severity: 'warning',
          message: `no backup of ${vserver} could be tested: ${fault.text}. Mend that, then: vs backup test ${vserver}`,
        };
  const faulty = (records ?? []).filter((one) => !isGood(one));
  if (faulty.length > 0)
    alerts['backup-damaged'] = {
      severity: success ? 'warning' : 'critical',
      message: `${faulty.length} of ${records?.length} backups of ${vserver} are damaged (${faulty
        .slice(0, 5)
        .map((one) => `${one.id} in ${one.repository}`)
        .join(', ')}); ${had}. See: vs backup show ${vserver} ${faulty[0]?.id}`,
    };
  return alerts;
}

/** Vservers that no line of backup.conf names, and no `*`. */
export function uncoveredAlert(names: string[], file: string): Told | null {
  if (names.length === 0) return null;
  const shown = names.slice(0, 20).join(', ') + (names.length > 20 ? ` and ${names.length - 20} more` : '');
  return {
    severity: 'warning',
    message: `nothing backs up ${shown}: ${file} has no line for ${names.length === 1 ? 'it' : 'them'}. Add one such as "*:hot:schedule=daily,keep-daily=7", or "${names[0]}:none" if that is meant`,
  };
}
