import type { CopyRecord } from '../../shared/contract/snapshot.ts';

/** Sizes and times for people. */
export function size(bytes: number): string {
  for (const [unit, one] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const)
    if (bytes >= one) return `${(bytes / one).toFixed(bytes >= one * 100 ? 0 : 1)} ${unit}`;
  return `${bytes} B`;
}
export const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
export const groups = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ' ');
/** "1 vserver", "3 vservers". */
export const vservers = (count: number): string => `${count} ${count === 1 ? 'vserver' : 'vservers'}`;
/** "1 host", "3 hosts". */
export const hosts = (count: number): string => `${count} ${count === 1 ? 'host' : 'hosts'}`;
export const day = (ts: number): string =>
  new Date(ts).toLocaleDateString('en-GB', { day: 'numeric', month: 'long' });
/** A moment as local date and time. */
export function moment(ts: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const at = new Date(ts);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** How a copy is taken, for people. */
export const getWays: Record<CopyRecord['kind'], string> = {
  snapshot: 'from a snapshot',
  live: 'live, in two passes',
  stopped: 'while it is stopped',
};
