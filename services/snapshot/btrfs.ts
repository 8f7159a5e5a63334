import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { removeTrees } from '../../shared/remove.ts';
import { run } from '../../shared/run.ts';
import { along } from './btrfs-along.ts';
import type { Driver } from './drivers.ts';

const subvolume = (...args: string[]) => run(['btrfs', 'subvolume', ...args], { timeoutMs: 600_000 });
/** The root directory of every btrfs subvolume has inode 256. */
export const isSubvolume = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.ino === 256;

/** Deletes a subvolume with the ones that a guest made inside it. */
async function remove(path: string): Promise<void> {
  if (!(await stat(path).catch(() => undefined))) return;
  if (!(await isSubvolume(path))) {
    for (const entry of await readdir(path, { withFileTypes: true }))
      if (entry.isDirectory()) await remove(join(path, entry.name));
    await removeTrees([path], 3_600_000);
    return;
  }
  // the kernel refuses one with others in it: only then they are looked for, which takes a walk through all of it
  if ((await run(['btrfs', 'subvolume', 'delete', path], { okCodes: [0, 1], timeoutMs: 600_000 })).code === 0)
    return;
  await run(['btrfs', 'property', 'set', '-ts', path, 'ro', 'false'], { okCodes: [0, 1] });
  for (const inner of await nested(path)) await remove(inner);
  await subvolume('delete', path);
}

/** The subvolumes inside one, the deepest first. */
async function nested(path: string): Promise<string[]> {
  const { stdout } = await run(
    ['find', path, '-xdev', '-mindepth', '1', '-depth', '-type', 'd', '-inum', '256', '-print0'],
    { okCodes: [0, 1], timeoutMs: 600_000 },
  );
  return stdout.split('\0').filter(Boolean);
}

/** The driver of `btrfs subvolume` (btrfs-subvolume(8)). */
export const btrfs: Driver = {
  storage: 'btrfs',
  capabilities: { snapshot: true, keep: true, send: true },
  async create(path) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (!(await isSubvolume(path))) await subvolume('create', path);
  },
  async snapshot(from, to) {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    if (!(await isSubvolume(to))) await subvolume('snapshot', '-r', from, to);
  },
  async promote(from, to) {
    if (await isSubvolume(to)) return;
    await remove(`${to}.new`); // of a try that was cut off
    await subvolume('snapshot', from, `${to}.new`);
    await rename(`${to}.new`, to);
  },
  // the ioctl commits its transaction: no fsync is needed after it
  place: async (from, to) => void (await subvolume('snapshot', from, to)),
  remove,
  nested: async (path) => (await nested(path)).length > 0,
  along,
  async settle(directory) {
    // wakes the kernel's cleaner, which otherwise comes with the next commit: up to 30 s later
    await run(['btrfs', 'filesystem', 'sync', directory], { timeoutMs: 600_000 });
    await run(['btrfs', 'subvolume', 'sync', directory], { timeoutMs: 600_000 });
    await run(['sync', '-f', directory], { timeoutMs: 600_000 }); // what came free counts from the commit on
  },
  async made(path) {
    const { stdout } = await subvolume('show', path);
    return Date.parse(/Creation time:\s+(.+)/.exec(stdout)?.[1] ?? '') || 0;
  },
};
