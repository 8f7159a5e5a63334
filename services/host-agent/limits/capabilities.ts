import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LimitKey, MissingLimits } from '../../../shared/contract/limits.ts';
import type { Controller, Layout, Version } from './plan.ts';

const ROOT = '/sys/fs/cgroup';
const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};
const entries = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

/** What the kernel of this host shows of its cgroups, as far as it says what can be limited. */
export interface Seen {
  /** /proc/self/cgroup */
  own: string;
  /** cgroup.controllers at the top of cgroup v2 */
  controllers: string;
  /** Is there such a file in a cgroup of v1 (by its hierarchy), or in one of v2 that is not the top one? */
  has(controller: string, version: Version, file: string): boolean;
}

/** Which controller is in which version of the cgroups, and what it can. */
export function layoutOf({ own, controllers, has }: Seen): Layout {
  const v1 = new Set(own.split('\n').flatMap((line) => line.split(':')[1]?.split(',') ?? []));
  const v2 = new Set(controllers.trim().split(/\s+/));
  const version: Layout['version'] = {};
  for (const name of ['memory', 'cpu', 'pids', 'io'] as Controller[]) {
    if (v1.has(name === 'io' ? 'blkio' : name)) version[name] = 1;
    else if (v2.has(name)) version[name] = 2;
  }
  const can = (controller: Controller, one: string, two: string): boolean => {
    const of = version[controller];
    return of !== undefined && has(controller, of, of === 1 ? one : two);
  };
  return {
    version,
    swap: can('memory', 'memory.memsw.limit_in_bytes', 'memory.swap.max'),
    quota: can('cpu', 'cpu.cfs_quota_us', 'cpu.max'),
    throttle: can('io', 'blkio.throttle.read_bps_device', 'io.max'),
  };
}

/** The top of cgroup v2: all of it, or beside v1 (hybrid). */
export const unifiedTop = (): string =>
  existsSync(join(ROOT, 'cgroup.controllers')) ? ROOT : join(ROOT, 'unified');

/** Looks at the cgroups of this host. */
export function lookAtCgroups(): Layout {
  const own = read('/proc/self/cgroup');
  const top = unifiedTop();
  const below = entries(top).filter((name) => existsSync(join(top, name, 'cgroup.controllers')));
  return layoutOf({
    own,
    controllers: read(join(top, 'cgroup.controllers')),
    has(controller, version, file) {
      const name = controller === 'io' ? 'blkio' : controller;
      const hierarchy = own.split('\n').find((line) => line.split(':')[1]?.split(',').includes(name));
      if (version === 1) return existsSync(join(ROOT, hierarchy?.split(':')[1] ?? name, file));
      // a cgroup shows the files of a controller only where it is switched on
      const on = below.filter((one) =>
        read(join(top, one, 'cgroup.controllers'))
          .split(/\s+/)
          .includes(controller),
      );
      return on.length === 0 || on.some((one) => existsSync(join(top, one, file)));
    },
  });
}

/** The whole disk of a block device; transfers are slowed down there, not at a partition. */
function diskOf(name: string): string {
  const at = join('/sys/class/block', name);
  if (!existsSync(join(at, 'partition'))) return read(join(at, 'dev')).trim();
  return read(join(dirname(realpathSync(at)), 'dev')).trim();
}

/** The disks (major:minor) below a mounted file system, by its source; a btrfs may have several. None: it is on no block device. */
export function disksOf(source: string): string[] {
  if (!source.startsWith('/dev/') || !existsSync(source) || !statSync(source).isBlockDevice()) return [];
  const name = basename(realpathSync(source));
  const btrfs = entries('/sys/fs/btrfs')
    .map((uuid) => entries(join('/sys/fs/btrfs', uuid, 'devices')))
    .find((devices) => devices.includes(name));
  return [...new Set((btrfs ?? [name]).map(diskOf))].filter(Boolean);
}

/** Which limits cannot be set with these cgroups, and why. */
export function missingCgroups({ version, swap, quota, throttle }: Layout, disks: string[]): MissingLimits {
  const missing: MissingLimits = {};
  const none = (controller: string, ...keys: LimitKey[]) => {
    for (const key of keys) missing[key] = `its kernel has no cgroup controller "${controller}"`;
  };
  if (!version.memory) none('memory', 'memory_bytes', 'swap_bytes');
  else if (!swap)
    missing.swap_bytes = 'its kernel does not count swap (boot it with swapaccount=1, or with a newer one)';
  if (!version.pids) none('pids', 'procs');
  if (!version.cpu) none('cpu', 'cpu', 'cpu_weight');
  else if (!quota) missing.cpu = 'its kernel has no CFS bandwidth control (CONFIG_CFS_BANDWIDTH)';
  const io = ['io_read_rate', 'io_write_rate'] as const;
  if (!version.io) none('io', ...io);
  else
    for (const key of io) {
      if (!throttle) missing[key] = 'its kernel cannot slow down disks (CONFIG_BLK_DEV_THROTTLING)';
      else if (disks.length === 0)
        missing[key] = 'its vservers lie on no block device that could be slowed down';
    }
  return missing;
}
