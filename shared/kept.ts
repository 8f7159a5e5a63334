import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Below the directory of a vserver's kept snapshots: what begins with a dot is being made or removed. */
export const isKeptEntry = (entry: string): boolean => !entry.startsWith('.');

/** Counts the kept snapshots of a vserver, each again only when their directory changed: for what is looked at each second. */
export function keptCounter(directory: string): (uuid: string) => number {
  const known = new Map<string, { mark: number; count: number }>();
  return (uuid) => {
    const path = join(directory, uuid);
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found) return 0;
    const before = known.get(uuid);
    if (before?.mark === found.ctimeMs) return before.count;
    const count = readdirSync(path).filter(isKeptEntry).length;
    // a clock of a file system ticks slowly: what has just changed may change again unseen
    if (Date.now() - found.ctimeMs > 1000) known.set(uuid, { mark: found.ctimeMs, count });
    return count;
  };
}

/** 20261127T040000Z, of UTC, so that names by it sort as time does, also over a change of the clocks. */
export const stampOf = (ts: number): string =>
  new Date(ts)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '');

/** "its snapshot", "its 3 snapshots". */
export const snapshotsText = (count: number, whose = 'its'): string =>
  count === 1 ? `${whose} snapshot` : `${whose} ${count} snapshots`;

const SHOWN = 5;
/** "a, b", and of many the first five: "a, b, c, d, e and 7 more". */
export const namesText = (names: string[]): string =>
  names.slice(0, SHOWN).join(', ') + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '');
