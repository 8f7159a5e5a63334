/** How full something was at a time (ms). */
export interface Fill {
  ts: number;
  bytes: number;
}
const WINDOW_MS = 3_600_000;
/** With less than this nobody knows how it grows. */
const LEAST_MS = 600_000;
const LEAST_POINTS = 3;
const APART_MS = 30_000;
/** What does not fill within this never does. */
export const NEVER_S = 10 * 365 * 86_400;

/** The fills of the last hour with one more; what comes at once after another says nothing new. */
export function remember(fills: readonly Fill[], one: Fill): Fill[] {
  const last = fills.at(-1);
  const kept = fills.filter(({ ts }) => one.ts - ts <= WINDOW_MS && ts <= one.ts);
  return last && one.ts >= last.ts && one.ts - last.ts < APART_MS ? kept : [...kept, one];
}

/** Seconds until `limit` bytes are full, by the straight line through the fills; undefined while too little is known. */
export function fullIn(fills: readonly Fill[], limit: number): number | undefined {
  const [first] = fills;
  const last = fills.at(-1);
  if (!first || !last || fills.length < LEAST_POINTS || last.ts - first.ts < LEAST_MS) return undefined;
  const mean = (of: (fill: Fill) => number) => fills.reduce((sum, one) => sum + of(one), 0) / fills.length;
  const [time, size] = [mean(({ ts }) => ts), mean(({ bytes }) => bytes)];
  const spread = mean(({ ts }) => (ts - time) ** 2);
  const slope = mean(({ ts, bytes }) => (ts - time) * (bytes - size)) / spread; // bytes a ms
  if (last.bytes >= limit) return 0;
  return slope <= 0 ? NEVER_S : Math.min(NEVER_S, (limit - last.bytes) / slope / 1000);
}
