import type { LimitChanges, LimitKey, Limits, MissingLimits } from '../../../shared/contract/limits.ts';
import { limitTable, limitText } from '../../../shared/limits.ts';

/** What a host and a vserver are like when limits change. */
export interface Facts {
  host: string;
  name: string;
  missing: MissingLimits;
  /** What the host has of it; an absent one has no measure. */
  has: Partial<Record<LimitKey, number>>;
  /** What the vserver uses of it now. */
  used: Partial<Record<LimitKey, number>>;
  /** cgroup v1 counts memory and swap in one. */
  swapNeedsMemory: boolean;
}

/**
 * Why limits cannot be changed like this, as parts of a sentence. `force` lets pass what is below use or above what the host has,
 * not what the host cannot do.
 */
export function refusals(
  changes: LimitChanges,
  wanted: Limits,
  facts: Facts,
  force: boolean,
): { why: string[]; forceable: boolean } {
  const { host, name, missing, has, used } = facts;
  const cannot: string[] = [];
  const should: string[] = [];
  for (const { key, resource, unit } of limitTable) {
    const value = changes[key];
    if (value === undefined || value === null) continue;
    const reason = missing[key];
    if (reason) {
      cannot.push(`${host} cannot limit ${resource}: ${reason}`);
      continue;
    }
    const text = limitText(unit, value);
    const most = has[key];
    const now = used[key];
    if (most !== undefined && value > most)
      should.push(`${resource} ${text} is more than the ${limitText(unit, most)} of ${host}`);
    if (now !== undefined && value < now)
      should.push(`${resource} ${text} is below the ${limitText(unit, now)} that ${name} uses`);
  }
  if (facts.swapNeedsMemory && wanted.swap_bytes !== undefined && !wanted.memory_bytes)
    cannot.push(`${host} has cgroup v1, where a limit of swap needs one of memory`);
  return { why: force ? cannot : [...cannot, ...should], forceable: cannot.length === 0 };
}
