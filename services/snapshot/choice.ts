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

/** What goes next of the trash and of the snapshots that the schedule made (`automatic`, the oldest first): old copies, then those snapshots, then only copies. */
export function nextOfAll<T extends Candidate, S>(
  entries: T[],
  automatic: S[],
  space: Space,
  minFree: number,
): { entry: T } | { snapshot: S } | undefined {
  const old = nextToGo(
    entries.filter((one) => !one.only),
    space,
    minFree,
  );
  if (old) return { entry: old };
  const [snapshot] = automatic;
  if (snapshot !== undefined && (space.free / space.total) * 100 < minFree) return { snapshot };
  const entry = nextToGo(entries, space, minFree);
  return entry && { entry };
}
