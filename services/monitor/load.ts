import { readdirSync } from 'node:fs';
import { setImmediate as pause } from 'node:timers/promises';
import { ownerOf, pathIn } from './cgroup.ts';
import { readKernel, round } from './read.ts';

/** So many files are read before others of this process are served. */
const AT_ONCE = 50;
/** A pid that was of no vserver may be one's after so long (ms): pids come again. */
const AGAIN_MS = 300_000;
const MINUTES = [1, 5, 15] as const;

/** The state of a process from /proc/PID/stat; its name may hold blanks and brackets. */
export const stateIn = (stat: string): string => stat.charAt(stat.lastIndexOf(')') + 2);

export interface Pass {
  /** Processes of the host, vservers included. */
  all: number;
  /** By the path of a vserver's cgroup: processes, and those that run, want to, or wait for a disk. */
  vservers: Map<string, { processes: number; active: number }>;
}

/**
 * Counts processes by vserver (`known`: their own cgroups) in one pass over /proc. To which one a process belongs is asked
 * once in its life, and its state only when it is of one.
 */
export function openPasses(proc = '/proc') {
  let owners = new Map<string, { path: string; at: number }>();
  return async (known: ReadonlySet<string>): Promise<Pass> => {
    const now = performance.now();
    const pids = readdirSync(proc).filter((name) => name >= '0' && name <= '99999999' && /^\d+$/.test(name));
    const seen: typeof owners = new Map();
    const vservers: Pass['vservers'] = new Map();
    let read = 0;
    for (const pid of pids) {
      let owner = owners.get(pid);
      if (owner === undefined || (owner.path === '' && now - owner.at > AGAIN_MS)) {
        owner = { path: pathIn(readKernel(`${proc}/${pid}/cgroup`)), at: now };
        read++;
      }
      seen.set(pid, owner);
      const own = owner.path === '' ? undefined : ownerOf(owner.path, known);
      if (own !== undefined) {
        const state = stateIn(readKernel(`${proc}/${pid}/stat`));
        read++;
        const count = vservers.get(own) ?? { processes: 0, active: 0 };
        count.processes++;
        if (state === 'R' || state === 'D') count.active++;
        vservers.set(own, count);
      }
      if (read >= AT_ONCE) {
        read = 0;
        await pause();
      }
    }
    owners = seen;
    return { all: pids.length, vservers };
  };
}

/** Load averages over 1, 5 and 15 minutes after one more count, `seconds` after the one before. */
export function nextLoads(before: readonly number[] | undefined, count: number, seconds: number): number[] {
  return MINUTES.map((minutes, at) => {
    const keep = Math.exp(-seconds / (60 * minutes));
    return (before?.[at] ?? 0) * keep + count * (1 - keep);
  });
}

/** As keys of the metrics. */
export const loadKeys = (loads: readonly number[]) => ({
  load_1: round(loads[0] ?? 0),
  load_5: round(loads[1] ?? 0),
  load_15: round(loads[2] ?? 0),
});
