import type { Metrics } from '../../shared/contract/host.ts';
import { pressures } from './pressure.ts';
import { fieldOf, readKernel, round, wholeOf } from './read.ts';

/** Where the figures of a vserver lie, by the controller's name; '' is cgroup v2. */
export type Cgroups = Map<string, string>;

/** The cgroup of a process within a vserver, as deep as it sits, from /proc/PID/cgroup; '' outside of vservers. */
export const pathIn = (text: string): string =>
  /^\d+:[^:\n]*:([^\n]*\/lxc\.payload\.[^\n]*)/m.exec(text)?.[1] ?? '';

/** The vserver's own cgroup, from the path of its init (which may sit deeper). */
export const ownOf = (path: string): string => /^(.*\/lxc\.payload\.[^/]+)/.exec(path)?.[1] ?? '';

/** Which of these vservers a path belongs to: the outermost, for what a guest runs in containers of its own is the guest's. */
export function ownerOf(path: string, known: ReadonlySet<string>): string | undefined {
  for (const { index, 0: level } of path.matchAll(/\/lxc\.payload\.[^/]+/g)) {
    const own = path.slice(0, index + level.length);
    if (known.has(own)) return own;
  }
  return undefined;
}

/** The directories of a process's cgroups from /proc/PID/cgroup, cut at the vserver's own (its init may sit deeper). */
export function cgroupsOf(text: string, root = '/sys/fs/cgroup'): Cgroups {
  const found: Cgroups = new Map();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const own = ownOf(path);
    if (!own) continue;
    if (controllers === '') found.set('', own);
    for (const controller of controllers.split(',').filter(Boolean))
      found.set(controller, `${root}/${controllers.replace(/^name=/, '')}${own}`);
  }
  const unified = found.get('');
  if (unified !== undefined) found.set('', `${root}${isV1(found) ? '/unified' : ''}${unified}`);
  return found;
}
const isV1 = (at: Cgroups) => at.has('memory') || at.has('cpuacct');

/** Sum of all devices in blkio.throttle.*, such as `8:0 Read 4096`. */
const sumV1 = (text: string, kind: string) =>
  [...text.matchAll(new RegExp(` ${kind} (\\d+)$`, 'gm'))].reduce((all, one) => all + Number(one[1]), 0);
const sumV2 = (text: string, key: string) =>
  [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((all, one) => all + Number(one[1]), 0);
/** What is known only, under its key. */
const known = (values: Record<string, number | undefined>): Metrics =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Metrics;

/** The figures of cgroup v1 (also hybrid), each controller with a directory of its own. */
function figuresV1(at: Cgroups): Metrics {
  const read = (controller: string, file: string) => {
    const directory = at.get(controller);
    return directory === undefined ? '' : readKernel(`${directory}/${file}`);
  };
  const io = (what: string) =>
    read('blkio', `blkio.throttle.${what}_recursive`) || read('blkio', `blkio.throttle.${what}`);
  const [bytes, operations] = [io('io_service_bytes'), io('io_serviced')];
  const [memory, ticks, throttled] = [
    read('memory', 'memory.stat'),
    read('cpuacct', 'cpuacct.stat'),
    read('cpu', 'cpu.stat'),
  ];
  const used = wholeOf(read('memory', 'memory.usage_in_bytes')) ?? 0;
  const limit = wholeOf(read('memory', 'memory.limit_in_bytes'));
  const both = wholeOf(read('memory', 'memory.memsw.limit_in_bytes'));
  return known({
    cpu_seconds_total: round(Number(read('cpuacct', 'cpuacct.usage')) / 1e9),
    cpu_user_seconds_total: (fieldOf(ticks, 'user') ?? 0) / 100,
    cpu_system_seconds_total: (fieldOf(ticks, 'system') ?? 0) / 100,
    cpu_throttled_seconds_total: round((fieldOf(throttled, 'throttled_time') ?? 0) / 1e9),
    mem_bytes: Math.max(0, used - (fieldOf(memory, 'total_inactive_file') ?? 0)),
    mem_limit_bytes: limit,
    mem_max_bytes: wholeOf(read('memory', 'memory.max_usage_in_bytes')),
    mem_cache_bytes: fieldOf(memory, 'total_cache'),
    mem_hits_total: wholeOf(read('memory', 'memory.failcnt')) ?? 0,
    mem_oom_kills_total: fieldOf(read('memory', 'memory.oom_control'), 'oom_kill'),
    swap_bytes: fieldOf(memory, 'total_swap'),
    swap_limit_bytes: both !== undefined && limit !== undefined ? Math.max(0, both - limit) : undefined,
    procs: wholeOf(read('pids', 'pids.current')) ?? 0,
    procs_limit: wholeOf(read('pids', 'pids.max')),
    procs_max: wholeOf(read('pids', 'pids.peak')),
    procs_hits_total: fieldOf(read('pids', 'pids.events'), 'max') ?? 0,
    io_read_bytes: sumV1(bytes, 'Read'),
    io_write_bytes: sumV1(bytes, 'Write'),
    io_reads_total: sumV1(operations, 'Read'),
    io_writes_total: sumV1(operations, 'Write'),
  });
}

function figuresV2(directory: string): Metrics {
  const read = (file: string) => readKernel(`${directory}/${file}`);
  const [io, cpu, memory, events] = [
    read('io.stat'),
    read('cpu.stat'),
    read('memory.stat'),
    read('memory.events'),
  ];
  const used = wholeOf(read('memory.current')) ?? 0;
  const seconds = (key: string) => round((fieldOf(cpu, key) ?? 0) / 1e6);
  return known({
    cpu_seconds_total: seconds('usage_usec'),
    cpu_user_seconds_total: seconds('user_usec'),
    cpu_system_seconds_total: seconds('system_usec'),
    cpu_throttled_seconds_total: seconds('throttled_usec'),
    mem_bytes: Math.max(0, used - (fieldOf(memory, 'inactive_file') ?? 0)),
    mem_limit_bytes: wholeOf(read('memory.max')),
    mem_max_bytes: wholeOf(read('memory.peak')),
    mem_cache_bytes: fieldOf(memory, 'file'),
    mem_hits_total: fieldOf(events, 'max') ?? 0,
    mem_oom_kills_total: fieldOf(events, 'oom_kill'),
    swap_bytes: wholeOf(read('memory.swap.current')),
    swap_limit_bytes: wholeOf(read('memory.swap.max')),
    procs: wholeOf(read('pids.current')) ?? 0,
    procs_limit: wholeOf(read('pids.max')),
    procs_max: wholeOf(read('pids.peak')),
    procs_hits_total: fieldOf(read('pids.events'), 'max') ?? 0,
    io_read_bytes: sumV2(io, 'rbytes'),
    io_write_bytes: sumV2(io, 'wbytes'),
    io_reads_total: sumV2(io, 'rios'),
    io_writes_total: sumV2(io, 'wios'),
  });
}

/** What a vserver uses, with its limits, hits, io and pressure; undefined when these are the cgroups of no vserver. */
export function figuresOf(at: Cgroups): Metrics | undefined {
  const unified = at.get('');
  if (!isV1(at) && unified === undefined) return undefined;
  return {
    ...(isV1(at) || unified === undefined ? figuresV1(at) : figuresV2(unified)),
    ...(unified === undefined ? {} : pressures((word) => `${unified}/${word}.pressure`)),
  };
}

/** Memory that a vserver uses, by the pid of its init, bytes; undefined when that is gone. */
export function memoryOf(pid: number): number | undefined {
  const value = figuresOf(cgroupsOf(readKernel(`/proc/${pid}/cgroup`)))?.['mem_bytes'];
  return typeof value === 'number' ? value : undefined;
}

/** Processor seconds of each core since the start; only cgroup v1 counts them. */
export function perCpu(at: Cgroups): number[] {
  const directory = at.get('cpuacct');
  const text = directory === undefined ? '' : readKernel(`${directory}/cpuacct.usage_percpu`);
  return text
    .trim()
    .split(/\s+/)
    .filter(Boolean)
    .map((value) => round(Number(value) / 1e9));
}
