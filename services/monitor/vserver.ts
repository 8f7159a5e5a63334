import { statfs } from 'node:fs/promises';
import type { Metrics } from '../../shared/contract/host.ts';
import type { RunningVserver } from '../../shared/contract/vserver.ts';
import { cgroupsOf, figuresOf, ownOf, pathIn } from './cgroup.ts';
import { limitFigures } from './limits.ts';
import { type Pass, loadKeys, nextLoads } from './load.ts';
import { flowKeys, interfacesOf, namespaceFigures } from './network.ts';
import { readKernel, round } from './read.ts';

/** Where /tmp is mounted changes seldom (ms). */
const MOUNTS_AGAIN_MS = 60_000;

interface Before {
  pid: number;
  at: number;
  seconds: number;
  loads: readonly number[] | undefined;
  procsMax: number;
  mounts: { at: number; tmpfs: boolean };
}

/** Whether /tmp of a process is a tmpfs, from /proc/PID/mountinfo: nothing else is looked at there, a FUSE might never answer. */
export const hasTmpfs = (mountinfo: string): boolean => /^(?:\S+ ){4}\/tmp [^\n]* - tmpfs /m.test(mountinfo);

/** The figures of vservers that run, each from one sample to the next. */
export function openMeters() {
  const known = new Map<string, Before>();

  async function tmpfsOf(pid: number, mounts: Before['mounts']): Promise<Metrics> {
    if (!mounts.tmpfs) return {};
    const volume = await statfs(`/proc/${pid}/root/tmp`).catch(() => undefined);
    if (!volume) return {};
    const { blocks, bfree, bsize } = volume;
    return {
      tmp_bytes: (blocks - bfree) * bsize,
      ...(blocks > 0 ? { tmp_limit_bytes: blocks * bsize } : {}),
    };
  }

  return {
    /** Undefined when it has ended meanwhile. `pass`: who was active just now. `keep`: false for a look between two samples. */
    async of(vserver: RunningVserver, pass: Pass | undefined, keep = true): Promise<Metrics | undefined> {
      const { name, pid, limits, since } = vserver;
      const text = readKernel(`/proc/${pid}/cgroup`);
      const figures = figuresOf(cgroupsOf(text));
      if (!figures) return undefined;
      const now = performance.now();
      const last = known.get(name);
      const before = last?.pid === pid ? last : undefined;
      const number = (key: string) => Number(figures[key] ?? 0);
      const seconds = number('cpu_seconds_total');
      const passed = before ? (now - before.at) / 1000 : 0;
      const cores = before && passed > 0 ? Math.max(0, (seconds - before.seconds) / passed) : 0;
      // threads count no more than their process there, and a short run is over between two looks: what was used says more
      const active = Math.max(pass?.vservers.get(ownOf(pathIn(text)))?.active ?? 0, cores);
      const loads = passed > 0 ? nextLoads(before?.loads, active, passed) : before?.loads;
      const mounts =
        before && now - before.mounts.at < MOUNTS_AGAIN_MS
          ? before.mounts
          : { at: now, tmpfs: hasTmpfs(readKernel(`/proc/${pid}/mountinfo`)) };
      const procsMax = Math.max(before?.procsMax ?? 0, number('procs_max'), number('procs'));
      if (keep) known.set(name, { pid, at: now, seconds, loads, procsMax, mounts });
      const limit = figures['mem_limit_bytes'];
      return {
        ts: Date.now(),
        cpu_pct: round(100 * cores),
        ...limitFigures(limits),
        ...figures,
        ...(typeof limit === 'number' && limit > 0
          ? { mem_pct: round((100 * number('mem_bytes')) / limit) }
          : {}),
        procs_max: procsMax,
        ...loadKeys(loads ?? []),
        ...flowKeys(
          interfacesOf(readKernel(`/proc/${pid}/net/dev`)).filter((one) => /^eth\d+$/.test(one.name)),
        ),
        ...namespaceFigures(pid),
        ...(await tmpfsOf(pid, mounts)),
        ...(since ? { uptime_seconds: Math.max(0, Math.round((Date.now() - since) / 1000)) } : {}),
      };
    },
    /** Forgets those that do not run any more. */
    keep(names: Set<string>): void {
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    },
  };
}
