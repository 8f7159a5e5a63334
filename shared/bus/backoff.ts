const FLOOR_MS = 500;
const CEILING_MS = 15_000;

/**
 * How long to wait before a try, after so many failed ones: by chance between 0.5 s and a limit that doubles from 1 s to
 * 15 s. By chance over all of it, for 2000 hosts that lost one broker must not all come back in the same instant.
 */
export function backoffMs(failed: number, random: () => number = Math.random): number {
  const limit = Math.min(CEILING_MS, 2 * FLOOR_MS * 2 ** Math.min(failed, 10));
  return Math.round(FLOOR_MS + random() * (limit - FLOOR_MS));
}
