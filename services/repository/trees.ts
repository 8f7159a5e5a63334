import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { removeTrees } from '../../shared/remove.ts';
import { dying, run } from '../../shared/run.ts';

/** How the trees of backups are made and removed; by what the file system can do. */
interface Trees {
  /** Do files of a new tree belong to the one before, too? */
  links: boolean;
  create(path: string): Promise<void>;
  /** A tree that begins as another one is. */
  share(from: string, to: string): Promise<void>;
  /** It can be changed again. */
  open(path: string): Promise<void>;
  /** Nothing changes it any more. */
  close(path: string): Promise<void>;
  /** The tree, or a directory that has one in it. */
  remove(path: string): Promise<void>;
}

const linkProgram = new URL('link-tree.pl', import.meta.url).pathname;
const LONG_MS = 24 * 3_600_000;
const btrfs = (...args: string[]) => run(['btrfs', ...args], { timeoutMs: LONG_MS });

const links: Trees = {
  links: true,
  create: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  async share(from, to) {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await run([...dying, 'perl', linkProgram, from, to], { timeoutMs: LONG_MS });
  },
  open: () => Promise.resolve(),
  close: () => Promise.resolve(),
  remove: (path) => removeTrees([path]),
};

/** The root directory of a subvolume has inode 256 (btrfs-subvolume(8)). */
const isSubvolume = async (path: string) => (await stat(path).catch(() => undefined))?.ino === 256;

const snapshots: Trees = {
  links: false,
  async create(path) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await btrfs('subvolume', 'create', path);
  },
  async share(from, to) {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await btrfs('subvolume', 'snapshot', from, to);
  },
  open: async (path) => void (await btrfs('property', 'set', '-ts', path, 'ro', 'false')),
  close: async (path) => void (await btrfs('property', 'set', '-ts', path, 'ro', 'true')),
  async remove(path) {
    for (const one of [path, `${path}/tree`, `${path}/tree.next`])
      if (await isSubvolume(one)) {
        await run(['btrfs', 'property', 'set', '-ts', one, 'ro', 'false'], { okCodes: [0, 1] });
        await btrfs('subvolume', 'delete', one);
      }
    await removeTrees([path]);
  },
};

export const treesOf: Record<'links' | 'snapshots', Trees> = { links, snapshots };
