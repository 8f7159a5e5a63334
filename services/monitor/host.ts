import { readFile, statfs } from 'node:fs/promises';
import { loadavg, uptime } from 'node:os';
import type { Metrics } from '../../shared/contract/host.ts';

/** Busy and all clock ticks of this host since its boot, from /proc/stat. */
export function cpuTicks(text: string): { busy: number; all: number } {
  const values = (/^cpu\s+(.*)$/m.exec(text)?.[1] ?? '').split(/\s+/).map(Number).slice(0, 8);
  const all = values.reduce((sum, one) => sum + one, 0);
  return { busy: all - (values[3] ?? 0) - (values[4] ?? 0), all };
}

/** The figures of the host itself. */
export function hostMeter(directory: string) {
  let before = { busy: 0, all: 0 };
  return async (running: number): Promise<Metrics> => {
    const now = cpuTicks(await readFile('/proc/stat', 'utf8'));
    const cpu =
      before.all > 0 && now.all > before.all ? (100 * (now.busy - before.busy)) / (now.all - before.all) : 0;
    before = now;
    const memory = await readFile('/proc/meminfo', 'utf8');
    const kilobytes = (key: string) =>
      Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(memory)?.[1] ?? 0) * 1024;
    const total = kilobytes('MemTotal');
    const used = total - kilobytes('MemAvailable');
    const disk = await statfs(directory);
    const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
    return {
      ts: Date.now(),
      cpu_pct: round(cpu),
      mem_bytes: used,
      mem_limit_bytes: total,
      mem_pct: round((100 * used) / (total || 1)),
      load_1: round(load1),
      load_5: round(load5),
      load_15: round(load15),
      disk_bytes: (disk.blocks - disk.bfree) * disk.bsize,
      disk_free_bytes: disk.bavail * disk.bsize,
      disk_limit_bytes: disk.blocks * disk.bsize,
      uptime_seconds: Math.round(uptime()),
      vservers_running: running,
    };
  };
}
export const round = (value: number): number => Math.round(value * 100) / 100;
