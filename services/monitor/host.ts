import { statfs } from 'node:fs/promises';
import { loadavg, uptime } from 'node:os';
import type { Metrics } from '../../shared/contract/host.ts';
import { hostFlows, namespaceFigures } from './network.ts';
import { pressures } from './pressure.ts';
import { fieldOf, readKernel, round } from './read.ts';

const HZ = 100;
const SECTOR = 512;
/** Whole disks; what lies on them (partitions, LVM, RAID, loops) would count twice. */
const disk = /^(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|dasd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;

/** Clock ticks of this host since its boot, from /proc/stat. */
export function cpuTicks(text: string): { busy: number; all: number; iowait: number; steal: number } {
  const values = (/^cpu\s+(.*)$/m.exec(text)?.[1] ?? '').split(/\s+/).map(Number).slice(0, 8);
  const all = values.reduce((sum, one) => sum + one, 0);
  const [idle, iowait, steal] = [values[3] ?? 0, values[4] ?? 0, values[7] ?? 0];
  return { busy: all - idle - iowait, all, iowait, steal };
}

/** What all disks read and wrote since the boot, from /proc/diskstats. */
export function diskFlows(text: string): Metrics {
  const sums = { io_reads_total: 0, io_read_bytes: 0, io_writes_total: 0, io_write_bytes: 0 };
  for (const line of text.split('\n')) {
    const [, , name = '', reads, , readSectors, , writes, , writeSectors] = line.trim().split(/\s+/);
    if (!disk.test(name)) continue;
    sums.io_reads_total += Number(reads) || 0;
    sums.io_read_bytes += (Number(readSectors) || 0) * SECTOR;
    sums.io_writes_total += Number(writes) || 0;
    sums.io_write_bytes += (Number(writeSectors) || 0) * SECTOR;
  }
  return sums;
}

/** Memory and swap of the host from /proc/meminfo; used is what cannot be had at once. */
export function memoryKeys(text: string): Metrics {
  const bytes = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;
  const total = bytes('MemTotal');
  const used = total - bytes('MemAvailable');
  return {
    mem_bytes: used,
    mem_limit_bytes: total,
    mem_pct: round((100 * used) / (total || 1)),
    mem_cache_bytes: bytes('Cached') + bytes('Buffers'),
    swap_bytes: bytes('SwapTotal') - bytes('SwapFree'),
    swap_limit_bytes: bytes('SwapTotal'),
  };
}

/** The figures of the host itself. */
export function hostMeter(directory: string) {
  let before = { busy: 0, all: 0, iowait: 0, steal: 0 };
  return async (counts: { running: number; hosted: number; processes: number }): Promise<Metrics> => {
    const stat = readKernel('/proc/stat');
    const now = cpuTicks(stat);
    const passed = before.all > 0 ? now.all - before.all : 0;
    const share = (key: 'busy' | 'iowait' | 'steal') =>
      passed > 0 ? round(Math.max(0, (100 * (now[key] - before[key])) / passed)) : 0;
    const processor = {
      cpu_pct: share('busy'),
      cpu_iowait_pct: share('iowait'),
      cpu_steal_pct: share('steal'),
    };
    before = now;
    const volume = await statfs(directory);
    const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
    return {
      ts: Date.now(),
      ...processor,
      cpu_seconds_total: round(now.busy / HZ),
      ...memoryKeys(readKernel('/proc/meminfo')),
      load_1: round(load1),
      load_5: round(load5),
      load_15: round(load15),
      procs: counts.processes,
      procs_running: fieldOf(stat, 'procs_running') ?? 0,
      procs_blocked: fieldOf(stat, 'procs_blocked') ?? 0,
      disk_bytes: (volume.blocks - volume.bfree) * volume.bsize,
      disk_free_bytes: volume.bavail * volume.bsize,
      disk_limit_bytes: volume.blocks * volume.bsize,
      ...diskFlows(readKernel('/proc/diskstats')),
      ...hostFlows(readKernel('/proc/self/net/dev')),
      ...namespaceFigures('self'),
      ...pressures((word) => `/proc/pressure/${word}`),
      uptime_seconds: Math.round(uptime()),
      vservers_running: counts.running,
      vservers_hosted: counts.hosted,
    };
  };
}
