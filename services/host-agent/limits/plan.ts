import type { Limits } from '../../../shared/contract/limits.ts';

/** A controller by its name in cgroup v2; in v1 `io` is called blkio. */
export type Controller = 'memory' | 'cpu' | 'pids' | 'io';
export type Version = 1 | 2;

/** What the cgroups of a host can, controller by controller: a hybrid host has some in v1 and some in v2. */
export interface Layout {
  version: Partial<Record<Controller, Version>>;
  /** Use of swap is counted. */
  swap: boolean;
  /** Processor time can be cut off (CFS bandwidth). */
  quota: boolean;
  /** Transfers of a device can be slowed down. */
  throttle: boolean;
}

/** What the runtime's configuration needs to know of its host; `disks` are those below the vservers, as major:minor. */
export interface HostLimits {
  layout: Layout;
  disks: string[];
}

/** One line into one file of a vserver's cgroup. */
export interface Write {
  controller: Controller;
  version: Version;
  file: string;
  value: string;
}
/** The text of a file of a cgroup; empty when it is not there. In v1 the time of processors has a controller of its own. */
export type Read = (controller: Controller | 'cpuacct', file: string) => string;

const PERIOD = 100_000; // us
const MOST = 2 ** 52; // v1 writes "none" as almost 2^63
/** The kernel rounds sizes down to whole pages, of at most 64 kB. */
const PAGE = 65_536;

const quotaOf = (cpu: number): number => Math.max(1000, Math.round(cpu * PERIOD)); // the kernel takes no less than 1 ms
const sharesOf = (weight: number): number => Math.max(2, Math.round((weight * 1024) / 100));
const number = (text: string): number | undefined => {
  const value = Number(text.trim() || Number.NaN);
  return Number.isFinite(value) && value >= 0 && value < MOST ? value : undefined;
};
const same = (current: number | undefined, wanted: number | undefined): boolean =>
  current === wanted ||
  (current !== undefined && wanted !== undefined && wanted >= current && wanted - current < PAGE);

/** The files of each controller that hold limits (memory.rst, cgroup-v2.rst, pids.rst, sched-bwc.rst, blkio-controller.rst of the kernel). */
export const limitFiles: Record<Version, Record<Controller, string[]>> = {
  1: {
    memory: ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'],
    pids: ['pids.max'],
    cpu: ['cpu.cfs_period_us', 'cpu.cfs_quota_us', 'cpu.shares'],
    io: ['blkio.throttle.read_bps_device', 'blkio.throttle.write_bps_device'],
  },
  2: {
    memory: ['memory.max', 'memory.swap.max'],
    pids: ['pids.max'],
    cpu: ['cpu.max', 'cpu.weight'],
    io: ['io.max'],
  },
};

/** The rate of the first of these disks in a file with a line for each. */
function rateOf(text: string, disks: string[], pattern: (device: string) => RegExp): number | undefined {
  for (const device of disks) {
    const found = pattern(device).exec(text)?.[1];
    if (found !== undefined) return number(found) || undefined;
  }
  return undefined;
}

/** The limits that a cgroup has now, from the texts of its files. */
export function currentLimits(layout: Layout, disks: string[], read: Read): Limits {
  const found: Limits = {};
  const { version } = layout;
  if (version.memory === 1) {
    found.memory_bytes = number(read('memory', 'memory.limit_in_bytes'));
    const both = number(read('memory', 'memory.memsw.limit_in_bytes'));
    if (both !== undefined && found.memory_bytes !== undefined) found.swap_bytes = both - found.memory_bytes;
  } else if (version.memory === 2) {
    found.memory_bytes = number(read('memory', 'memory.max'));
    found.swap_bytes = number(read('memory', 'memory.swap.max'));
  }
  found.procs = number(read('pids', 'pids.max'));
  if (version.cpu === 1) {
    const quota = number(read('cpu', 'cpu.cfs_quota_us'));
    const period = number(read('cpu', 'cpu.cfs_period_us'));
    if (quota && period) found.cpu = quota / period;
    const shares = number(read('cpu', 'cpu.shares')) ?? 1024;
    if (shares !== 1024) found.cpu_weight = Math.round((shares * 100) / 1024);
  } else if (version.cpu === 2) {
    const [quota, period] = read('cpu', 'cpu.max').trim().split(/\s+/).map(Number);
    if (quota && period) found.cpu = quota / period;
    const weight = number(read('cpu', 'cpu.weight')) ?? 100;
    if (weight !== 100) found.cpu_weight = weight;
  }
  if (version.io === 1) {
    const line = (device: string) => new RegExp(`^${device} (\\d+)$`, 'm');
    found.io_read_rate = rateOf(read('io', 'blkio.throttle.read_bps_device'), disks, line);
    found.io_write_rate = rateOf(read('io', 'blkio.throttle.write_bps_device'), disks, line);
  } else if (version.io === 2) {
    const text = read('io', 'io.max');
    found.io_read_rate = rateOf(text, disks, (device) => new RegExp(`^${device} .*rbps=(\\d+)`, 'm'));
    found.io_write_rate = rateOf(text, disks, (device) => new RegExp(`^${device} .*wbps=(\\d+)`, 'm'));
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

function memoryWrites(layout: Layout, current: Limits, wanted: Limits): Write[] {
  const write = (version: Version, file: string, value: string): Write => ({
    controller: 'memory',
    version,
    file,
    value,
  });
  const memory = wanted.memory_bytes || undefined;
  if (layout.version.memory === 2) {
    const writes: Write[] = [];
    if (!same(current.memory_bytes, memory)) writes.push(write(2, 'memory.max', String(memory ?? 'max')));
    if (layout.swap && !same(current.swap_bytes, wanted.swap_bytes))
      writes.push(write(2, 'memory.swap.max', String(wanted.swap_bytes ?? 'max')));
    return writes;
  }
  // v1 counts memory and swap in one, which may never be less than the memory: the order depends on the direction
  const both = ({ memory_bytes, swap_bytes }: Limits) =>
    memory_bytes && swap_bytes !== undefined ? memory_bytes + swap_bytes : undefined;
  const [was, will] = [both(current), both(wanted)];
  const first = same(current.memory_bytes, memory)
    ? []
    : [write(1, 'memory.limit_in_bytes', String(memory ?? -1))];
  const second =
    !layout.swap || same(was, will) ? [] : [write(1, 'memory.memsw.limit_in_bytes', String(will ?? -1))];
  const rises = (will ?? Infinity) > (was ?? Infinity);
  return rises ? [...second, ...first] : [...first, ...second];
}

function cpuWrites(layout: Layout, current: Limits, wanted: Limits): Write[] {
  const version = layout.version.cpu;
  if (version === undefined) return [];
  const write = (file: string, value: string): Write => ({ controller: 'cpu', version, file, value });
  const writes: Write[] = [];
  const quota = (cpu: number | undefined) => (cpu ? quotaOf(cpu) : undefined);
  if (layout.quota && quota(current.cpu) !== quota(wanted.cpu)) {
    const value = quota(wanted.cpu);
    if (version === 2) writes.push(write('cpu.max', `${value ?? 'max'} ${PERIOD}`));
    else
      writes.push(
        ...(value === undefined ? [] : [write('cpu.cfs_period_us', String(PERIOD))]),
        write('cpu.cfs_quota_us', String(value ?? -1)),
      );
  }
  const [was, will] = [current.cpu_weight ?? 100, wanted.cpu_weight ?? 100];
  if (was !== will)
    writes.push(
      version === 2 ? write('cpu.weight', String(will)) : write('cpu.shares', String(sharesOf(will))),
    );
  return writes;
}

function ioWrites(layout: Layout, disks: string[], current: Limits, wanted: Limits): Write[] {
  const version = layout.version.io;
  if (version === undefined || !layout.throttle) return [];
  const write = (file: string, value: string): Write => ({ controller: 'io', version, file, value });
  const reads = current.io_read_rate !== wanted.io_read_rate;
  const writes = current.io_write_rate !== wanted.io_write_rate;
  if (version === 2)
    return disks.flatMap((device) => {
      if (!reads && !writes) return [];
      const { io_read_rate: read = 'max', io_write_rate: out = 'max' } = wanted;
      return [write('io.max', `${device} rbps=${read} wbps=${out}`)];
    });
  return disks.flatMap((device) => [
    ...(reads ? [write('blkio.throttle.read_bps_device', `${device} ${wanted.io_read_rate ?? 0}`)] : []),
    ...(writes ? [write('blkio.throttle.write_bps_device', `${device} ${wanted.io_write_rate ?? 0}`)] : []),
  ]);
}

/** What brings a cgroup from the limits that it has to those that it shall have, in order. What the host cannot do is left out. */
export function limitWrites(layout: Layout, disks: string[], current: Limits, wanted: Limits): Write[] {
  const { memory, pids } = layout.version;
  return [
    ...(memory === undefined ? [] : memoryWrites(layout, current, wanted)),
    ...(pids === undefined || current.procs === wanted.procs
      ? []
      : [
          {
            controller: 'pids' as const,
            version: pids,
            file: 'pids.max',
            value: String(wanted.procs ?? 'max'),
          },
        ]),
    ...cpuWrites(layout, current, wanted),
    ...ioWrites(layout, disks, current, wanted),
  ];
}
