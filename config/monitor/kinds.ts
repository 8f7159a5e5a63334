import { type Parse, count, load, percent, rate, seconds } from './values.ts';

/** What a threshold is about. */
export interface Kind {
  /** The last level of its alert's topic. */
  check: string;
  parse: Parse<number>;
  unit: 'percent' | 'load' | 'rate' | 'seconds' | 'count';
  /** Small values are bad. */
  below?: true;
  /** It says which files of the vserver are looked at. */
  files?: true;
  /** For people: what is at that value. */
  title: string;
}
const both: Record<string, Kind> = {
  SWAP_THRESHOLD: { check: 'swap', parse: percent, unit: 'percent', title: 'swap' },
  DISK_THRESHOLD: { check: 'disk', parse: percent, unit: 'percent', title: 'disk' },
  DISK_FULL_IN: {
    check: 'disk-growth',
    parse: seconds(60, 31_536_000),
    unit: 'seconds',
    below: true,
    title: 'time until the disk is full',
  },
  CPU_THRESHOLD: { check: 'cpu', parse: percent, unit: 'percent', title: 'cpu' },
  LOADAVG_1_THRESHOLD: { check: 'load-1', parse: load, unit: 'load', title: 'load of 1 minute' },
  LOADAVG_5_THRESHOLD: { check: 'load-5', parse: load, unit: 'load', title: 'load of 5 minutes' },
  LOADAVG_15_THRESHOLD: { check: 'load-15', parse: load, unit: 'load', title: 'load of 15 minutes' },
  PSI_CPU_THRESHOLD: {
    check: 'psi-cpu',
    parse: percent,
    unit: 'percent',
    title: 'time spent waiting for cpu',
  },
  PSI_MEM_THRESHOLD: {
    check: 'psi-memory',
    parse: percent,
    unit: 'percent',
    title: 'time spent waiting for memory',
  },
  PSI_IO_THRESHOLD: { check: 'psi-io', parse: percent, unit: 'percent', title: 'time spent waiting for io' },
};
/** By key of monitor.conf; the classic's are the same. */
export const vserverKinds: Record<string, Kind> = {
  RSS_THRESHOLD: { check: 'memory', parse: percent, unit: 'percent', title: 'memory' },
  TMPFS_THRESHOLD: { check: 'tmp', parse: percent, unit: 'percent', title: '/tmp' },
  PROC_THRESHOLD: { check: 'processes', parse: percent, unit: 'percent', title: 'processes' },
  IO_READ_THRESHOLD: { check: 'io-read', parse: rate, unit: 'rate', title: 'reading' },
  IO_WRITE_THRESHOLD: { check: 'io-write', parse: rate, unit: 'rate', title: 'writing' },
  CERTIFICATES_LEFT: {
    check: 'certificates',
    parse: seconds(60, 31_536_000),
    unit: 'seconds',
    below: true,
    files: true,
    title: 'certificates',
  },
  UPGRADES_THRESHOLD: { check: 'upgrades', parse: count(1, 100_000), unit: 'count', title: 'upgrades' },
  SECURITY_UPGRADES_THRESHOLD: {
    check: 'security-upgrades',
    parse: count(1, 100_000),
    unit: 'count',
    title: 'upgrades for security',
  },
  PACKAGE_AGE_THRESHOLD: {
    check: 'package-age',
    parse: seconds(3600, 315_360_000),
    unit: 'seconds',
    title: 'age of packages',
  },
  ...both,
};
/** By key of host-monitor.conf. */
export const hostKinds: Record<string, Kind> = {
  MEM_THRESHOLD: { check: 'memory', parse: percent, unit: 'percent', title: 'memory' },
  CERTIFICATE_LEFT: {
    check: 'certificate',
    parse: seconds(60, 31_536_000),
    unit: 'seconds',
    below: true,
    title: 'the certificate is valid for another',
  },
  POOL_DATA_THRESHOLD: { check: 'pool-data', parse: percent, unit: 'percent', title: 'thin pool' },
  POOL_METADATA_THRESHOLD: {
    check: 'pool-metadata',
    parse: percent,
    unit: 'percent',
    title: 'metadata of a thin pool',
  },
  ...both,
};

/** A time for people: 45 s, 12 min, 3.5 h, 4 d. */
function timeText(value: number): string {
  const [unit, size] =
    value < 120 ? ['s', 1] : value < 7200 ? ['min', 60] : value < 172_800 ? ['h', 3600] : ['d', 86_400];
  return `${Math.round((10 * value) / Number(size)) / 10} ${unit}`;
}
/** A value of a threshold for people. */
export function valueText(unit: Kind['unit'], value: number): string {
  if (unit === 'percent') return `${Math.round(value * 10) / 10} %`;
  if (unit === 'rate') return `${Math.round(value / 1e4) / 100} MB/s`;
  if (unit === 'count') return String(Math.round(value));
  return unit === 'seconds' ? timeText(value) : String(Math.round(value * 100) / 100);
}
