import type { BackupRecord } from '../../shared/contract/backup.ts';

const WEEK = 7 * 86_400_000;

/** When the round of verification began that a repository is in (epoch ms): a new one each week. */
export function roundOf(began: number | undefined, now: number): number {
  if (began === undefined || began > now || now - began >= 2 * WEEK) return now;
  return now - began >= WEEK ? began + WEEK : began;
}

/**
 * The backup of a repository that is to be verified next: in each round a share (percent, at least one) of them, those first
 * that were verified never, or longest ago. `tried`: those that could not be verified in this round.
 */
export function nextToVerify(
  records: BackupRecord[],
  { began, percent, tried }: { began: number; percent: number; tried: ReadonlySet<string> },
): BackupRecord | undefined {
  if (percent <= 0) return undefined;
  const most = Math.ceil((records.length * percent) / 100);
  const done = records.filter((one) => (one.verified ?? 0) >= began || tried.has(one.id)).length;
  if (done >= most) return undefined;
  return records
    .filter((one) => (one.verified ?? 0) < began && !tried.has(one.id))
    .toSorted((a, b) => (a.verified ?? 0) - (b.verified ?? 0) || a.taken - b.taken)[0];
}
