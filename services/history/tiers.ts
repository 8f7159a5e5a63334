/** One resolution in which points are kept, all in seconds. */
export interface Tier {
  step: number;
  keep: number;
}
const DAY = 86_400;

/** From fine to coarse. `days`: HISTORY_DAYS, of the coarsest. */
export const tiersFor = (days: number): readonly [Tier, Tier, Tier] => [
  { step: 10, keep: DAY },
  { step: 60, keep: 7 * DAY },
  { step: 600, keep: days * DAY },
];

export const floorTo = (seconds: number, step: number): number => Math.floor(seconds / step) * step;

/** So many rows are read for one answer if a coarser tier serves as well. */
const ROWS = 1500;
/** So many numbers an answer holds: below the broker's limit of 1 MB. */
const NUMBERS = 30_000;
const POINTS = 1500;

/** Which tier to read (its index) and the step of the answer for a span, all in seconds. `wanted`: at least that step. */
export function planQuery(
  tiers: readonly Tier[],
  span: { since: number; until: number; now: number; step?: number | undefined; keys: number },
): { tier: number; step: number; since: number; points: number } {
  const { since, until, now } = span;
  const length = Math.max(1, until - since);
  const fits = tiers.findIndex((one) => now - since <= one.keep + one.step && length / one.step <= ROWS);
  const tier = fits === -1 ? tiers.length - 1 : fits;
  const own = tiers[tier]?.step ?? 10;
  const most = Math.max(1, Math.min(POINTS, Math.floor(NUMBERS / Math.max(1, span.keys))));
  const least = Math.max(span.step ?? 0, own, length / most);
  const step = Math.ceil(least / own) * own;
  const first = floorTo(since, step);
  return { tier, step, since: first, points: Math.ceil((until - first) / step) };
}
