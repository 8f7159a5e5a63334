const HOUR_MS = 3_600_000;
/** So long (ms) the next try waits after the first, the second, ... of the last hour. */
export const RESTS_MS = [10_000, 30_000, 60_000, 120_000, 300_000];

/** Of these times (ms) those within an hour of now, whichever way the clock was set meanwhile. */
export const ofLastHour = <T>(all: readonly T[], now: number, timeOf: (one: T) => number): T[] =>
  all.filter((one) => Math.abs(now - timeOf(one)) < HOUR_MS);

/**
 * When something may be tried next (ms): at once the first time within an hour, then after ever longer rests; undefined when
 * it was tried `perHour` times within the last hour.
 */
export function nextTry(tries: readonly number[], perHour: number, now: number): number | undefined {
  const recent = ofLastHour(tries, now, (one) => one);
  if (recent.length >= perHour) return undefined;
  if (recent.length === 0) return now;
  const rest = RESTS_MS[Math.min(recent.length, RESTS_MS.length) - 1] ?? 0;
  return Math.min(Math.max(...recent), now) + rest;
}
