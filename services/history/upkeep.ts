import { type Row, merge } from './codec.ts';
import type { Rows } from './rows.ts';
import { type Tier, floorTo } from './tiers.ts';

/** No sample comes later than so many seconds after it was taken. */
const SETTLED_S = 300;

/** What has ended of the coarser tiers by now (s), from the finer ones; the mark of each says how far that is done. */
export function rollUp(rows: Rows, tiers: readonly Tier[], now: number): void {
  for (const [index, tier] of tiers.entries()) {
    const finer = tiers[index - 1];
    if (!finer) continue;
    const end = floorTo(now, tier.step);
    const mark = rows.mark(tier);
    if (mark !== end) rows.setMark(tier, end);
    if (mark < 0 || mark >= end) continue; // a new file; or the clock went back
    for (const series of rows.ids()) {
      const sums = new Map<number, Row>();
      for (const { ts, row } of rows.points(finer, series, mark, end)) {
        const at = floorTo(ts, tier.step);
        sums.set(at, merge(sums.get(at) ?? [], row));
      }
      for (const [ts, row] of sums) rows.put(tier, series, ts, row);
    }
  }
}

/** The first moment of all (s). */
export function oldestOf(rows: Rows, tiers: readonly Tier[]): number | undefined {
  const found = tiers.flatMap((tier) => rows.oldest(tier) ?? []);
  return found.length > 0 ? found.reduce((a, b) => Math.min(a, b)) : undefined;
}

/** The oldest tenth of the time goes; false when there is nothing. */
function shorten(rows: Rows, tiers: readonly Tier[], now: number): boolean {
  const first = oldestOf(rows, tiers);
  if (first === undefined) return false;
  for (const tier of tiers) rows.drop(tier, first + Math.max(tier.step, (now - first) / 10));
  return true;
}

/** Removes what is older than its tier keeps it, then the oldest beyond so many bytes, then subjects without a point. */
export function expire(rows: Rows, tiers: readonly Tier[], now: number, limit: number): void {
  // what a former life left is rolled up before it goes; what is on its way into the file is younger than that
  const settled = now - SETTLED_S;
  const isBehind = (tier: Tier) => rows.mark(tier) >= 0 && rows.mark(tier) < floorTo(settled, tier.step);
  if (tiers.slice(1).every(isBehind)) rollUp(rows, tiers, settled);
  for (const tier of tiers) rows.drop(tier, now - tier.keep);
  for (let tries = 0; rows.bytes() > limit && tries < 200; tries++) if (!shorten(rows, tiers, now)) break;
  const empty = tiers.map(({ step }) => `NOT EXISTS (SELECT 1 FROM points_${step} WHERE series = id)`);
  rows.sql(`DELETE FROM series WHERE ${empty.join(' AND ')}`).run();
}
