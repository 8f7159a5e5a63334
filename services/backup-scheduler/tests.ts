import { type BackupLine, lineOf } from '../../config/backup.ts';
import type { BackupProof, BackupRecord } from '../../shared/contract/backup.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';
import type { Attempts, Book } from './book.ts';
import { type Begin, type Place, dueSlot, noted } from './due.ts';
import { isGood } from './retention.ts';
import { type Kind, openRuns } from './runs.ts';
import { isInWindow } from './times.ts';

/** The same line with the schedule of its tests. */
export function testLine(line: BackupLine): BackupLine {
  const { schedule: _, test, ...rest } = line;
  return test === undefined ? rest : { ...rest, schedule: test };
}

interface Look {
  now: number;
  lines: BackupLine[];
  vservers: Place[];
  tests: Readonly<Record<string, Attempts>>;
  recordsOf: (vserver: string) => BackupRecord[] | undefined;
}

/** Decides which vserver's newest good backup is tested next: one at a time, what was due first at first; undefined: none now. */
export function dueTest({ now, lines, vservers, tests, recordsOf }: Look): Begin | undefined {
  if (Object.values(tests).some((one) => one.running)) return undefined;
  const wanted: (Begin & { slot: number })[] = [];
  for (const { name } of vservers) {
    const line = lineOf(lines, name);
    const entry = tests[name];
    if (!line || line.mode === 'none' || line.test === undefined || !entry) continue;
    const slot = dueSlot(testLine(line), name, entry, now);
    if (slot === undefined || (entry.retryAt ?? 0) > now || !isInWindow(line, now)) continue;
    const { repository } = line;
    const isMeant = (one: BackupRecord) => repository === undefined || one.repository === repository;
    if (!(recordsOf(name) ?? []).some((one) => isGood(one) && isMeant(one))) continue;
    wanted.push({ name, mode: line.mode, slot, ...(repository === undefined ? {} : { repository }) });
  }
  return wanted.toSorted((a, b) => a.slot - b.slot || (a.name < b.name ? -1 : 1))[0];
}

/** The newest proof of all of its backups, with the id of that one. */
export function newestProof(records: BackupRecord[]): (BackupProof & { id: string }) | undefined {
  return records
    .flatMap(({ id, proof }) => (proof ? [{ ...proof, id }] : []))
    .toSorted((a, b) => b.ts - a.ts)[0];
}

/** When one of its backups was proved last, also one that is gone by now. */
export function lastProofOf(records: BackupRecord[], test: Attempts | undefined): number | undefined {
  const times = records.flatMap(({ proof }) => (proof?.ok ? [proof.ts] : []));
  if (test?.success !== undefined) times.push(test.success);
  return times.length > 0 ? Math.max(...times) : undefined;
}

/** What the newest test has found that was not well, or why it could not be made; undefined: nothing. */
export function testFault(
  records: BackupRecord[],
  test: Attempts | undefined,
): { bad: boolean; text: string } | undefined {
  const proof = newestProof(records);
  const last = lastProofOf(records, test) ?? 0;
  if (proof && !proof.ok && proof.ts >= last) {
    const found = proof.checks.filter((one) => !one.ok).map((one) => `${one.check}: ${one.message}`);
    return { bad: true, text: `backup ${proof.id}: ${found.join('; ')}`.slice(0, 800) };
  }
  if (test && test.failures > 0 && last < (test.attempt ?? 0))
    return { bad: false, text: (test.error ?? 'unknown').slice(0, 800) };
  return undefined;
}

/** Has the newest good backup of each vserver tested as its line says, one after the other in the whole pool. */
export function openTests(context: Pick<Context, 'bus' | 'log'>, book: Book, ended: () => void) {
  const { bus } = context;
  const what: Kind = {
    kind: 'backup-test',
    entries: () => book.tests,
    ask: ({ name, repository }) =>
      bus.request(
        'master',
        'orchestrator.backup-test',
        { name, ...(repository === undefined ? {} : { repository }) },
        { timeoutMs: 600_000 },
      ),
    // it was looked at, and not well: a second look finds the same
    isFinal: (saga: SagaState) => saga.error?.step === 'record',
  };
  const runs = openRuns(context, book, ended, what);
  return {
    follow: runs.follow,
    /** From when on the schedule of a test counts. */
    note(lines: BackupLine[], vservers: Place[], now: number): void {
      for (const { name } of vservers) {
        const line = lineOf(lines, name);
        if (line?.test === undefined) delete book.tests[name];
        else book.tests[name] = noted(book.tests[name], testLine(line), now);
      }
    },
    /** Begins the next one that is due. */
    async next(look: Omit<Look, 'tests'>): Promise<void> {
      const one = dueTest({ ...look, tests: book.tests });
      if (one) await runs.begin(one);
    },
  };
}
