import type { KeptRecord, SnapshotPlan } from '../../shared/contract/kept.ts';
import { stampOf } from '../../shared/kept.ts';

type One = Pick<KeptRecord, 'snapshot' | 'taken' | 'kind' | 'protected'>;
const MINUTE = 60_000;
/** Weeks begin on Monday: 1 January 1970 was a Thursday. */
const MONDAY = 4 * 86_400_000;

/** The name of one that nobody named. */
export const nameByTime = (ts: number, kind: KeptRecord['kind']): string =>
  `${{ manual: 'at-', automatic: 'auto-', rollback: 'before-rollback-' }[kind]}${stampOf(ts)}`;

/** Those that may go by themselves, the oldest first: made by the schedule, and not protected. Never people's own. */
export const automatic = <T extends One>(all: T[]): T[] =>
  all
    .filter((one) => one.kind === 'automatic' && !one.protected)
    .toSorted((a, b) => a.taken - b.taken || a.snapshot.localeCompare(b.snapshot));
export const oldestAutomatic = <T extends One>(all: T[]): T | undefined => automatic(all)[0];

/** The beginning of the period that a moment is in: periods are counted in UTC, from a Monday. */
export const periodOf = (plan: SnapshotPlan, now: number): number => {
  const every = plan.every * MINUTE;
  return Math.floor((now - MONDAY) / every) * every + MONDAY;
};

/** No automatic one, protected or not, was made in this period yet. A clock that was set back begins periods anew. */
export function isDue(plan: SnapshotPlan, all: One[], now: number): boolean {
  const begin = periodOf(plan, now);
  const end = begin + plan.every * MINUTE;
  return !all.some((one) => one.kind === 'automatic' && one.taken >= begin && one.taken < end);
}

/** What goes so that the newest `keep` automatic ones stay; protected ones stay beside them. */
export const surplus = <T extends One>(plan: SnapshotPlan, all: T[]): T[] =>
  automatic(all).slice(0, Math.max(0, automatic(all).length - plan.keep));
