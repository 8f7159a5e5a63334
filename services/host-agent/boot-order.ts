import { setTimeout as pause } from 'node:timers/promises';
import type { BootPlan } from '../../shared/contract/vserver.ts';

export interface Planned {
  name: string;
  boot?: BootPlan | undefined;
}

/** In which order vservers start: those of one group side by side, the lower orders first, those without one last. */
export function bootOrder<T extends Planned>(all: T[]): T[][] {
  const groups = Map.groupBy(all, ({ boot }) => boot?.order ?? Number.POSITIVE_INFINITY);
  return [...groups]
    .sort(([one], [other]) => (one === other ? 0 : one - other))
    .map(([, group]) => group.toSorted((a, b) => (a.name < b.name ? -1 : 1)));
}

/** The reverse of it. */
export const stopOrder = <T extends Planned>(all: T[]): T[][] =>
  bootOrder(all)
    .map((group) => group.toReversed())
    .toReversed();

/**
 * Works on group after group, in each at most `parallel` at a time. What `work` answers (s) is waited for in its place
 * before the next, except by the last of all. Nothing begins once the signal is raised. What `work` throws is its caller's.
 */
export async function inGroups<T>(
  groups: T[][],
  options: { parallel: number; signal: AbortSignal },
  work: (item: T) => Promise<number>,
): Promise<void> {
  const { parallel, signal } = options;
  let left = groups.flat().length;
  for (const group of groups) {
    const queue = group.values();
    const lane = async () => {
      for (const item of queue) {
        if (signal.aborted) return;
        left--;
        const seconds = await work(item);
        if (seconds > 0 && left > 0)
          await pause(seconds * 1000, undefined, { signal }).catch(() => undefined);
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel, group.length) }, lane));
  }
}

/** A boot plan with changes: null takes a value away. Undefined when nothing is left of it. */
export function changedPlan(
  now: BootPlan | undefined,
  change: { [K in 'order' | 'delay' | 'stopTimeout']?: number | null | undefined },
): BootPlan | undefined {
  const next: Record<string, unknown> = { ...now };
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete next[key];
    else if (value !== undefined) next[key] = value;
  }
  return Object.keys(next).length > 0 ? next : undefined;
}
