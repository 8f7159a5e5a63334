import type { TrashEntry } from './trash.ts';

/** Free and total space of a file system (bytes). */
export interface Space {
  free: number;
  total: number;
}
type Candidate = Pick<TrashEntry, 'only' | 'ts'>;

/** The order in which entries go when space is needed: old copies of what lives elsewhere first, then only ones; each the oldest first. */
export const inOrder = <T extends Candidate>(entries: T[]): T[] =>
  entries.toSorted((a, b) => Number(a.only) - Number(b.only) || a.ts - b.ts);

/** Below this share of the mark the disk is as good as full, and what runs suffers: only copies in their grace go, too. */
const FULL = 1 / 4;

/**
 * What goes next while the file system has less free than `minFree` percent; undefined: nothing. It is asked again
 * after each, so that no more goes than is needed. An entry that was the only copy stays in its grace time unless the disk
 * is as good as full.
 */
export function nextToGo<T extends Candidate>(entries: T[], space: Space, minFree: number): T | undefined {
  const share = (space.free / space.total) * 100;
  if (share >= minFree) return undefined;
  return inOrder(entries).find((one) => !one.only || share < minFree * FULL);
}
