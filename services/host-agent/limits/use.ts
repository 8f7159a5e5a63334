import type { LimitKey } from '../../../shared/contract/limits.ts';
import type { Layout, Read } from './plan.ts';

/** What a vserver uses and how often it met its limits, as its cgroup says. */
export interface Use {
  used: Partial<Record<LimitKey, number>>;
  hits: Partial<Record<LimitKey, number>>;
  /** Processes that were killed because the memory was used up. */
  kills: number;
  /** What counts up; its rate is what is used of it. */
  counters: Partial<Record<LimitKey, number>>;
}

const number = (text: string): number | undefined => {
  const value = Number(text.trim() || Number.NaN);
  return Number.isFinite(value) ? value : undefined;
};
const field = (text: string, key: string): number | undefined =>
  number(new RegExp(`^${key}[ \\t](\\d+)$`, 'm').exec(text)?.[1] ?? '');
const sum = (text: string, pattern: RegExp): number =>
  [...text.matchAll(pattern)].reduce((all, one) => all + Number(one[1]), 0);

/** The files that tell use and hits. */
export const useFiles = {
  1: {
    memory: [
      'memory.usage_in_bytes',
      'memory.stat',
      'memory.failcnt',
      'memory.memsw.failcnt',
      'memory.oom_control',
    ],
    pids: ['pids.current', 'pids.events'],
    cpu: ['cpu.stat'],
    cpuacct: ['cpuacct.usage'],
    io: ['blkio.throttle.io_service_bytes'],
  },
  2: {
    memory: ['memory.current', 'memory.stat', 'memory.events', 'memory.swap.current', 'memory.swap.events'],
    pids: ['pids.current', 'pids.events'],
    cpu: ['cpu.stat'],
    cpuacct: [],
    io: ['io.stat'],
  },
} as const;

/** Use and hits from the texts of the files of a cgroup. Memory that is only a cache of files does not count as used. */
export function useOf(layout: Layout, read: Read): Use {
  const { memory, cpu, io } = layout.version;
  const stat = read('memory', 'memory.stat');
  const all = number(read('memory', memory === 1 ? 'memory.usage_in_bytes' : 'memory.current'));
  const cache = field(stat, memory === 1 ? 'total_inactive_file' : 'inactive_file') ?? 0;
  const events = read('memory', 'memory.events');
  const usage =
    cpu === 1
      ? (number(read('cpuacct', 'cpuacct.usage')) ?? 0) / 1e9
      : (field(read('cpu', 'cpu.stat'), 'usage_usec') ?? 0) / 1e6;
  const transfers = read('io', io === 1 ? 'blkio.throttle.io_service_bytes' : 'io.stat');
  const [reads, writes] =
    io === 1 ? [/ Read (\d+)$/gm, / Write (\d+)$/gm] : [/rbytes=(\d+)/g, /wbytes=(\d+)/g];
  return {
    used: {
      memory_bytes: all === undefined ? undefined : Math.max(0, all - cache),
      swap_bytes: memory === 1 ? field(stat, 'total_swap') : number(read('memory', 'memory.swap.current')),
      procs: number(read('pids', 'pids.current')),
    },
    hits: {
      memory_bytes: memory === 1 ? number(read('memory', 'memory.failcnt')) : field(events, 'max'),
      swap_bytes:
        memory === 1
          ? number(read('memory', 'memory.memsw.failcnt'))
          : field(read('memory', 'memory.swap.events'), 'max'),
      procs: field(read('pids', 'pids.events'), 'max'),
      cpu: field(read('cpu', 'cpu.stat'), 'nr_throttled'),
    },
    kills: field(memory === 1 ? read('memory', 'memory.oom_control') : events, 'oom_kill') ?? 0,
    counters: { cpu: usage, io_read_rate: sum(transfers, reads), io_write_rate: sum(transfers, writes) },
  };
}
