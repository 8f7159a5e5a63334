import { mkdir, statfs } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { btrfs } from './btrfs.ts';

/** What every storage can do; what only some can is told by `capabilities`. */
export interface Driver {
  storage: 'btrfs' | 'dir';
  capabilities: { snapshot: boolean; send: boolean };
  create(path: string): Promise<void>;
  snapshot(from: string, to: string): Promise<void>;
  promote(from: string, to: string): Promise<void>;
  /** A writable tree of a snapshot, there at once and durable when it answers; `to` does not exist. */
  place(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  nested(path: string): Promise<boolean>;
  /** Waits until the space of what was removed is free again. */
  settle(directory: string): Promise<void>;
  /** When a snapshot was made. */
  made(path: string): Promise<number>;
}

const cannot = (): Promise<void> => Promise.reject(new VsError('refused', 'storage dir has no snapshots'));

const dir: Driver = {
  storage: 'dir',
  capabilities: { snapshot: false, send: false },
  create: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  snapshot: cannot,
  promote: cannot,
  place: cannot,
  remove: async (path) =>
    void (await run(['rm', '-rf', '--one-file-system', path], { timeoutMs: 3_600_000 })),
  nested: () => Promise.resolve(false),
  settle: async (directory) => void (await run(['sync', '-f', directory], { timeoutMs: 120_000 })),
  made: cannot as () => Promise<never>,
};

const BTRFS_SUPER_MAGIC = 0x9123683e; // statfs(2)

/** The driver for the file system that a directory lies on. */
export async function driverOf(directory: string): Promise<Driver> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return (await statfs(directory)).type === BTRFS_SUPER_MAGIC ? btrfs : dir;
}
