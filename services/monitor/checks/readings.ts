import type { MonitorConfig } from '../../../config/monitor/rule.ts';
import { type Kind, hostKinds, valueText, vserverKinds } from '../../../config/monitor/kinds.ts';
import type { Metrics } from '../../../shared/contract/host.ts';
import { limitText } from '../../../shared/limits.ts';
import { type Counted, riseOf } from './counters.ts';
import type { Reading } from './evaluate.ts';

type Readings = Record<string, Reading>;
const numberOf = (figures: Metrics, key: string): number | undefined => {
  const value = figures[key];
  return typeof value === 'number' ? value : undefined;
};

/** Percent that one figure is of another; null without a limit, undefined while the figure is not known. */
function share(figures: Metrics, used: string, limit: string): number | null | undefined {
  const [part, whole] = [numberOf(figures, used), numberOf(figures, limit)];
  if (whole === undefined || whole <= 0) return null;
  return part === undefined ? undefined : (100 * part) / whole;
}
const sizes = (figures: Metrics, limit: string) => limitText('bytes', numberOf(figures, limit) ?? 0);

/** What a figure is against its limit, and of what; by check. */
function valueOf(check: string, figures: Metrics, cores: number) {
  const shares: Record<string, [used: string, limit: string]> = {
    memory: ['mem_bytes', 'mem_limit_bytes'],
    swap: ['swap_bytes', 'swap_limit_bytes'],
    disk: ['disk_bytes', 'disk_limit_bytes'],
    tmp: ['tmp_bytes', 'tmp_limit_bytes'],
  };
  const one = Object.hasOwn(shares, check) ? shares[check] : undefined;
  if (one) return { value: share(figures, ...one), of: ` of ${sizes(figures, one[1])}` };
  if (check === 'processes')
    return { value: share(figures, 'procs', 'procs_limit'), of: ` of ${figures['procs_limit'] ?? ''}` };
  if (check === 'cpu') {
    const all = numberOf(figures, 'cpu_limit_cores') ?? cores;
    const used = numberOf(figures, 'cpu_pct');
    return { value: used === undefined ? undefined : Math.min(100, used / all), of: ` of ${all} cores` };
  }
  const plain: Record<string, string> = {
    'load-1': 'load_1',
    'load-5': 'load_5',
    'load-15': 'load_15',
    'psi-cpu': 'psi_cpu_some_pct',
    'psi-memory': 'psi_mem_some_pct',
    'psi-io': 'psi_io_some_pct',
  };
  // a kernel without pressure has nothing to check
  return { value: numberOf(figures, plain[check] ?? '') ?? null, of: '' };
}

function kindOf(kinds: Record<string, Kind>, key: string): Kind | undefined {
  return Object.hasOwn(kinds, key) ? kinds[key] : undefined;
}
const told = (kind: Kind, value: number, of = '', limit = 0) =>
  `${kind.title} ${kind.below ? '' : 'at '}${valueText(kind.unit, value)}${of}${kind.below ? `, less than ${valueText(kind.unit, limit)}` : `, threshold ${valueText(kind.unit, limit)}`}`;

/** Readings of the thresholds that figures answer. `more`: by check, what is no figure (growth, rates). */
export function thresholdReadings(
  config: MonitorConfig,
  figures: Metrics,
  {
    kinds,
    cores,
    more = {},
  }: {
    kinds: 'vserver' | 'host';
    cores: number;
    more?: Record<string, number | null | undefined>;
  },
): Readings {
  const readings: Readings = {};
  const table = kinds === 'host' ? hostKinds : vserverKinds;
  for (const { check, key, threshold } of config.rules) {
    const kind = kindOf(table, key);
    if (!kind) continue;
    const { value, of } = Object.hasOwn(more, check)
      ? { value: more[check], of: '' }
      : valueOf(check, figures, cores);
    if (value === undefined) continue;
    readings[check] = { value, text: told(kind, value ?? 0, of, threshold) };
  }
  return readings;
}

const counters: Record<string, { figure: string; text: string }> = {
  'memory-hits': { figure: 'mem_hits_total', text: 'met its limit of memory' },
  'oom-kills': { figure: 'mem_oom_kills_total', text: 'had processes killed, for want of memory,' },
  'process-hits': { figure: 'procs_hits_total', text: 'met its limit of processes' },
};
/** Readings of the kernel's counters of refusals, and what they count now. */
export function counterReadings(
  config: MonitorConfig,
  figures: Metrics,
  pid: number,
  before: Counted | undefined,
): { readings: Readings; counted: Counted } {
  const readings: Readings = {};
  const values: Record<string, number> = {};
  for (const { check } of config.rules) {
    const counter = Object.hasOwn(counters, check) ? counters[check] : undefined;
    if (!counter) continue;
    const now = numberOf(figures, counter.figure);
    if (now === undefined) {
      readings[check] = { value: null, text: '' };
      continue;
    }
    values[counter.figure] = now;
    const rise = riseOf(before, pid, counter.figure, now);
    readings[check] = {
      value: rise > 0 ? 1 : 0,
      text: `${counter.text} ${rise === 1 ? 'once' : `${rise} times`} since the last look`,
    };
  }
  return { readings, counted: { pid, values } };
}
