import { existsSync } from 'node:fs';
import { RunError, run } from '../../../shared/run.ts';
import { readKernel } from '../read.ts';
import type { Reading } from './evaluate.ts';
import { type Fault, raidFaults, smartDevices, smartFault, thinPools } from './hardware.ts';

/** A tool is asked no more often than this (ms): they read disks. */
const POOLS_MS = 120_000;
const SMART_MS = 3_600_000;
const PATIENCE_MS = 30_000;
const MOST_DISKS = 64;
const folders = ['/usr/sbin', '/sbin', '/usr/bin', '/usr/local/sbin'];
const toolIn = (name: string): string | undefined =>
  folders.map((folder) => `${folder}/${name}`).find((file) => existsSync(file));

/** A condition: bad while something is wrong. */
export function conditionOf(faults: readonly Fault[]): Reading {
  return {
    value: faults.length > 0 ? 1 : 0,
    text: faults.map(({ text }) => text).join('; '),
    about: faults.map(({ name }) => name).join(', '),
  };
}
const nothing: Reading = { value: null, text: '' };

/** Thin pools: the fullest decides, the text names it. */
async function pools(tool: string): Promise<Record<string, Reading>> {
  const argv = [tool, '--reportformat', 'json', '-o', 'vg_name,lv_name,data_percent,metadata_percent'];
  const { stdout } = await run([...argv, '-S', 'segtype=thin-pool'], { timeoutMs: PATIENCE_MS });
  const found = thinPools(stdout);
  const fullest = (key: 'data' | 'metadata', what: string): Reading => {
    const [first] = found.toSorted((a, b) => (b[key] ?? 0) - (a[key] ?? 0));
    const value = first?.[key];
    return value === undefined
      ? nothing
      : {
          value,
          text: `thin pool ${first?.name} has ${Math.round(value * 10) / 10} % of its ${what} in use`,
        };
  };
  return { 'pool-data': fullest('data', 'room'), 'pool-metadata': fullest('metadata', 'metadata') };
}

/** The answer of smartctl, also when its exit code says that something is wrong with the disk. */
async function smartctl(tool: string, more: string[]): Promise<string> {
  try {
    const codes = Array.from({ length: 256 }, (_, code) => code);
    return (await run([tool, '--json', ...more], { timeoutMs: PATIENCE_MS, okCodes: codes })).stdout;
  } catch (error) {
    if (error instanceof RunError) return '';
    throw error;
  }
}
async function disks(tool: string): Promise<Reading> {
  const devices = smartDevices((await smartctl(tool, ['--scan'])) || '{}').slice(0, MOST_DISKS);
  const faults: Fault[] = [];
  let said = 0;
  for (const { name, type } of devices) {
    const text = await smartctl(tool, ['--health', '--nocheck', 'standby', '--device', type, name]);
    const fault = text === '' ? null : smartFault(text);
    if (fault !== null) said++;
    if (fault) faults.push({ name, text: `disk ${name} ${fault}` });
  }
  return said === 0 ? nothing : conditionOf(faults);
}

/** What the host is made of: RAID, SMART, thin pools. A tool that is not here has nothing to check. */
export function openHardware() {
  const known = new Map<string, { at: number; readings: Record<string, Reading> }>();
  /** What was found last, or, when that is old, what is found now. */
  async function every(
    key: string,
    ms: number,
    look: () => Promise<Record<string, Reading>>,
  ): Promise<Record<string, Reading>> {
    const last = known.get(key);
    if (last && performance.now() - last.at < ms) return last.readings;
    known.set(key, { at: performance.now(), readings: {} }); // one that fails is asked again as late
    const readings = await look();
    known.set(key, { at: performance.now(), readings });
    return readings;
  }
  return {
    raid: async (): Promise<Record<string, Reading>> => {
      const mdstat = readKernel('/proc/mdstat');
      return { raid: /^md/m.test(mdstat) ? conditionOf(raidFaults(mdstat)) : nothing };
    },
    pools: () =>
      every('pools', POOLS_MS, async () => {
        const tool = toolIn('lvs');
        return tool ? pools(tool) : { 'pool-data': nothing, 'pool-metadata': nothing };
      }),
    smart: () =>
      every('smart', SMART_MS, async () => {
        const tool = toolIn('smartctl');
        return { smart: tool ? await disks(tool) : nothing };
      }),
  };
}
