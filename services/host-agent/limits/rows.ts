import type { LimitKey, LimitRow, Limits, MissingLimits } from '../../../shared/contract/limits.ts';
import { limitTable, limitText } from '../../../shared/limits.ts';
import type { Looked } from './look.ts';

const inCgroup: LimitKey[] = [
  'memory_bytes',
  'swap_bytes',
  'procs',
  'cpu',
  'cpu_weight',
  'io_read_rate',
  'io_write_rate',
];
/** The kernel rounds: sizes to pages, processor time to microseconds. */
const isAlike = (a: number, b: number): boolean => Math.abs(a - b) <= Math.max(65_536, b / 1000);
const isCoreAlike = (a: number, b: number): boolean => Math.abs(a - b) < 0.01;

/** Why a limit that is set is not in force; undefined when it is. */
function noteOf(key: LimitKey, limit: number, unit: LimitRow['unit'], seen: Looked): string | undefined {
  const differs = (now: number | undefined) =>
    `not in force: the kernel has ${now === undefined ? 'none' : limitText(unit, now)}`;
  if (key === 'disk_bytes')
    return seen.disk.limit !== undefined && isAlike(seen.disk.limit, limit)
      ? undefined
      : differs(seen.disk.limit);
  if (seen.current === undefined) return undefined;
  if (key === 'tmp_bytes') return seen.tmp ? undefined : 'from the next start on';
  if (!inCgroup.includes(key)) return undefined;
  const now = seen.current[key];
  const alike = unit === 'bytes' || unit === 'bytes/s' ? isAlike : isCoreAlike;
  return now !== undefined && alike(now, limit) ? undefined : differs(now);
}

/** Every resource with its use, limit and hits. */
export function limitRows(limits: Limits, seen: Looked, missing: MissingLimits): LimitRow[] {
  return limitTable.map(({ resource, key, unit }) => {
    const limit = limits[key] ?? null;
    const note = limit === null ? undefined : (missing[key] ?? noteOf(key, limit, unit, seen));
    return {
      resource,
      key,
      unit,
      used: seen.used[key] ?? null,
      limit,
      hits: seen.hits[key] ?? null,
      ...(key === 'memory_bytes' && seen.current ? { kills: seen.kills } : {}),
      ...(note === undefined ? {} : { note }),
    };
  });
}
