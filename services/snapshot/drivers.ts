import { mkdir, statfs } from 'node:fs/promises';
import type { Settings } from '../../config/settings.ts';
import type { StorageInfo } from '../../shared/contract/snapshot.ts';
import { VsError } from '../../shared/errors.ts';
import { removeTrees } from '../../shared/remove.ts';
import { run } from '../../shared/run.ts';
import { btrfs } from './btrfs.ts';
import type { Space } from './choice.ts';
import { lvmThick } from './lvm-thick.ts';
import { lvmThin } from './lvm-thin.ts';
import type { Quota } from './quota.ts';

/** What every storage can do; what only some can is told by `capabilities`. */
export interface Driver {
  storage: StorageInfo['storage'];
  /** `snapshot`: for as long as a saga needs one. `keep`: as long as people want, and writable trees of them. `send`: btrfs send. */
  capabilities: { snapshot: boolean; keep: boolean; send: boolean };
  /** An empty tree that so many bytes will come to. */
  create(path: string, bytes?: number): Promise<void>;
  snapshot(from: string, to: string): Promise<void>;
  promote(from: string, to: string): Promise<void>;
  /** A writable tree of a snapshot, there at once and durable when it answers; `to` does not exist. */
  place(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  nested(path: string): Promise<boolean>;
  /** What a tree and its snapshots, the oldest first, take together on a disk that they are sent to (bytes). */
  along?(snapshots: string[], tree: string): Promise<number>;
  /** Waits until the space of what was removed is free again. */
  settle(directory: string): Promise<void>;
  /** When a snapshot was made. */
  made(path: string): Promise<number>;
  /** What has to be there before anybody looks for trees; answers what could not be brought there, and why. */
  prepare?(): Promise<string[]>;
  /** Why a snapshot can be read no more, or not as a whole; undefined: it can. */
  lost?(path: string): Promise<string | undefined>;
  /** Looks after snapshots that can fill; asked for every few seconds. */
  watch?(): Promise<void>;
  /** What a person should know of it. */
  faults?(): Promise<string[]>;
  /** Its own space, where trees do not lie on the file system of their directory. */
  space?(): Promise<Space>;
  /** Its own way of disk limits; else that of the file system. */
  quota?: Quota;
}

const cannot = (): Promise<void> => Promise.reject(new VsError('refused', 'storage dir has no snapshots'));

const dir: Driver = {
  storage: 'dir',
  capabilities: { snapshot: false, keep: false, send: false },
  create: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  snapshot: cannot,
  promote: cannot,
  place: cannot,
  remove: (path) => removeTrees([path], 3_600_000),
  nested: () => Promise.resolve(false),
  settle: async (directory) => void (await run(['sync', '-f', directory], { timeoutMs: 120_000 })),
  made: cannot as () => Promise<never>,
};

export type DriverSettings = Pick<
  Settings,
  'HOST' | 'VSERVER_DIR' | 'STORAGE' | 'LVM_POOL' | 'LVM_SNAPSHOT_PERCENT'
>;
/** What STORAGE may name, besides auto. */
const table: Record<Driver['storage'], (settings: DriverSettings) => Driver> = {
  btrfs: () => btrfs,
  dir: () => dir,
  lvm: (settings) => lvmThick(settings, dir),
  'lvm-thin': (settings) => lvmThin(settings, dir),
};

const BTRFS_SUPER_MAGIC = 0x9123683e; // statfs(2)

/** The driver of a directory: what STORAGE names, or by the file system that it lies on. */
export async function driverOf(settings: DriverSettings): Promise<Driver> {
  const { VSERVER_DIR: directory, STORAGE: named } = settings;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const isBtrfs = (await statfs(directory)).type === BTRFS_SUPER_MAGIC;
  if (named === 'btrfs' && !isBtrfs)
    throw new VsError(
      'failed',
      `STORAGE is btrfs, and ${directory} is on another file system; mount one there`,
    );
  return table[named === 'auto' ? (isBtrfs ? 'btrfs' : 'dir') : named](settings);
}
