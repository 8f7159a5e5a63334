import type { LimitChanges, LimitKey, LimitRow, Limits } from './contract/limits.ts';

/** Every limit in the order in which people see them: what they call it, and in what it counts. */
export const limitTable: { resource: string; key: LimitKey; unit: LimitRow['unit'] }[] = [
  { resource: 'memory', key: 'memory_bytes', unit: 'bytes' },
  { resource: 'swap', key: 'swap_bytes', unit: 'bytes' },
  { resource: 'disk', key: 'disk_bytes', unit: 'bytes' },
  { resource: 'tmp', key: 'tmp_bytes', unit: 'bytes' },
  { resource: 'procs', key: 'procs', unit: 'processes' },
  { resource: 'cpu', key: 'cpu', unit: 'cores' },
  { resource: 'cpu-weight', key: 'cpu_weight', unit: 'weight' },
  { resource: 'io-read', key: 'io_read_rate', unit: 'bytes/s' },
  { resource: 'io-write', key: 'io_write_rate', unit: 'bytes/s' },
  { resource: 'net-in', key: 'net_in_rate', unit: 'bytes/s' },
  { resource: 'net-out', key: 'net_out_rate', unit: 'bytes/s' },
];

/** Limits after changes: null takes one away. */
export function withChanges(limits: Limits, changes: LimitChanges): Limits {
  const all = { ...limits, ...changes };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => typeof value === 'number'));
}

function sizeText(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1023.5 || unit === 'GiB')
      return `${value < 99.95 && !Number.isInteger(value) ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1024;
  }
  return `${bytes} B`;
}

/** A value of a limit for people, such as 512 MiB, 0.8 cores, 10 MiB/s. */
export function limitText(unit: LimitRow['unit'], value: number): string {
  if (unit === 'bytes') return sizeText(value);
  if (unit === 'bytes/s') return `${sizeText(value)}/s`;
  if (unit === 'cores') return `${Math.round(value * 100) / 100} cores`;
  return String(value);
}
