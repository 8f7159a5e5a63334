import { createHash } from 'node:crypto';
import type { BackupLine } from '../../config/backup.ts';
import { runAfter, runBefore } from '../../config/cron.ts';
import { localTime } from './periods.ts';

const MINUTE = 60_000;
const DAY_MINUTES = 1440;

/** How much later (ms) a vserver begins than its schedule says: always the same, so that a restart changes nothing. */
export function jitterOf(vserver: string, jitter = 0): number {
  if (jitter <= 0) return 0;
  const share = createHash('sha1').update(vserver).digest().readUInt32BE(0) / 2 ** 32;
  return Math.floor((share * jitter) / 1000) * 1000;
}

/** May a backup begin by itself at this moment (epoch ms)? */
export function isInWindow(
  { window, timezone }: Pick<BackupLine, 'window' | 'timezone'>,
  at: number,
): boolean {
  if (!window) return true;
  const { hour, minute } = localTime(at, timezone);
  const now = hour * 60 + minute;
  const { from, to } = window;
  return from < to ? now >= from && now < to : now >= from || now < to;
}

/** A clock is set forward by that much (minutes) at most. */
const MOST_CHANGE = 125;

/** The first moment at or after this one at which it may. */
export function intoWindow(line: Pick<BackupLine, 'window' | 'timezone'>, at: number): number {
  if (!line.window || isInWindow(line, at)) return at;
  const start = Math.floor(at / MINUTE) * MINUTE;
  const { hour, minute } = localTime(at, line.timezone);
  const away = (line.window.from - (hour * 60 + minute) + DAY_MINUTES) % DAY_MINUTES;
  // the clock may be set before the window begins, and leave it out for a day: so it is looked for from a little before on
  for (let one = Math.max(1, away - MOST_CHANGE); one <= 2 * DAY_MINUTES + MOST_CHANGE; one++)
    if (isInWindow(line, start + one * MINUTE)) return start + one * MINUTE;
  return at;
}

/** The last run at or before a moment, as the schedule has it, without jitter and window; undefined: none. */
export function lastSlot(line: BackupLine, vserver: string, now: number): number | undefined {
  if (line.schedule === undefined) return undefined;
  return runBefore(line.schedule, line.timezone, now - jitterOf(vserver, line.jitter));
}

/** The first run after a moment: what the schedule says (`slot`), and when it begins (`at`). */
export function nextSlot(
  line: BackupLine,
  vserver: string,
  after: number,
): { slot: number; at: number } | undefined {
  if (line.schedule === undefined) return undefined;
  const late = jitterOf(vserver, line.jitter);
  const slot = runAfter(line.schedule, line.timezone, after - late);
  return slot === undefined ? undefined : { slot, at: intoWindow(line, slot + late) };
}

/** A backup that is younger than this need not be told of as overdue, however short the interval (ms). */
const LEAST_PATIENCE = 5 * MINUTE;

/** From when on (epoch ms) a vserver counts as overdue whose last success was then: one and a half intervals later. */
export function overdueFrom(line: BackupLine, vserver: string, success: number): number | undefined {
  const next = nextSlot(line, vserver, success);
  if (!next) return undefined;
  const after = runAfter(line.schedule ?? '', line.timezone, next.slot);
  if (after === undefined) return undefined;
  return next.at + Math.max((after - next.slot) / 2, LEAST_PATIENCE);
}
