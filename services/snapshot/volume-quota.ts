import { readFile, stat, statfs } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { createTurns } from '../../shared/turns.ts';
import { placeOf, seenElsewhere, unmountFrom, volumeOf } from './lvm-places.ts';
import { inExtents } from './lvm-report.ts';
import type { Volumes } from './lvm-volumes.ts';
import { removeVolume, renameVolume, resizeVolume, snapshotThin, volumes } from './lvm.ts';
import type { Quota } from './quota.ts';

const LONG = { timeoutMs: 3_600_000 };
const SECTOR = 512;
const BEFORE = '.before';

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
const BLOCK = 4096;
/** What resize2fs(8) says when it does not make a file system as small as that; it counts in blocks. */
export function whySmaller(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const least = /New size smaller than minimum \((\d+)\)/.exec(text)?.[1];
  return least === undefined ? text : `its files and its tables need ${mebibytes(Number(least) * BLOCK)}`;
}

/** The bytes of a mounted tree's own device, without asking LVM (sysfs). */
async function deviceBytes(tree: string): Promise<number> {
  const { dev } = await stat(tree);
  const numbers = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  return Number(await readFile(`/sys/dev/block/${numbers}/size`, 'utf8')) * SECTOR;
}

/** A volume was being made smaller when the host or the agent died: it is again as it was before. Answers which are not, and why. */
export async function mendShrunk(group: string, tag: string): Promise<Map<string, string>> {
  const all = await volumes(group);
  const broken = new Map<string, string>();
  for (const one of all.filter(({ name, tags }) => name.endsWith(BEFORE) && tags.includes(tag))) {
    const name = one.name.slice(0, -BEFORE.length);
    try {
      if (all.some((other) => other.name === name)) await removeVolume(group, name);
      await renameVolume(group, one.name, name);
    } catch (error) {
      broken.set(name, error instanceof Error ? error.message : String(error));
    }
  }
  return broken;
}

/**
 * The disk limit of a tree is the size of its volume: grown while it is in use, made smaller only while nobody uses it (ext4 can
 * shrink unmounted alone). Without a limit it is as large as the pool.
 */
export function volumeQuota({
  all,
  group,
  tag,
  most,
}: {
  all: Volumes;
  group: string;
  tag: string;
  /** The size of the pool. */
  most: () => Promise<number>;
}): Quota {
  const turns = createTurns();
  let pool: { bytes: number; at: number } | undefined;
  const poolBytes = async () => {
    if (!pool || pool.at < performance.now() - 60_000) pool = { bytes: await most(), at: performance.now() };
    return pool.bytes;
  };
  /** What was asked for, by volume: a size is whole extents, and who asks for one wants to hear the same again. */
  const asked = new Map<string, { bytes: number; size: number }>();

  async function shrink(name: string, tree: string, from: number, to: number): Promise<void> {
    const [user] = await seenElsewhere(placeOf(all.directory, name));
    if (user !== undefined)
      throw new VsError(
        'refused',
        `the disk of ${tree} cannot become smaller than its ${mebibytes(from)} while it is in use (${user}); stop it, set the limit, and start it again`,
      );
    const device = await all.deviceOf(name);
    await unmountFrom(placeOf(all.directory, name));
    try {
      await snapshotThin(group, name, `${name}${BEFORE}`, tag);
      try {
        await run(['e2fsck', '-f', '-p', device], { ...LONG, okCodes: [0, 1] });
        await run(['resize2fs', device, `${Math.floor(to / 1024)}K`], LONG);
        await resizeVolume(group, name, from, to);
      } catch (error) {
        const stays = (await mendShrunk(group, tag)).get(name);
        if (stays !== undefined) throw new VsError('failed', `${group}/${name} of ${tree}: ${stays}`);
        throw new VsError(
          'refused',
          `the disk of ${tree} cannot become as small as ${mebibytes(to)}: ${whySmaller(error)}`,
          { cause: error },
        );
      }
      await removeVolume(group, `${name}${BEFORE}`);
    } finally {
      await all.mount(name, false);
    }
  }

  return {
    how: 'volume',
    missing: () => Promise.resolve(undefined),
    ready: () => Promise.resolve(),
    async look(tree, exact) {
      const name = await volumeOf(tree);
      if (name === undefined) return {};
      if (exact) await run(['sync', '-f', `${tree}/`], { timeoutMs: 120_000 });
      const { bsize, blocks, bfree } = await statfs(tree);
      const size = await deviceBytes(tree);
      const was = asked.get(name);
      const limit = was?.size === size ? was.bytes : size;
      return { used: bsize * (blocks - bfree), ...(size >= (await poolBytes()) ? {} : { limit }) };
    },
    limit: async (tree, bytes) => {
      const name = await volumeOf(tree);
      if (name === undefined) {
        if (bytes === null) return;
        throw new VsError('refused', `${tree} is on no volume of its own, so its disk cannot be limited`);
      }
      await turns(name, async () => {
        const now = await all.find(name);
        if (!now) throw new VsError('failed', `the volume ${group}/${name} of ${tree} is gone`);
        const size = inExtents(bytes ?? (await most()), now.extent);
        if (size < now.size && bytes !== null) await shrink(name, tree, now.size, size);
        if (size > now.size) {
          await resizeVolume(group, name, now.size, size);
          await run(['resize2fs', await all.deviceOf(name)], LONG);
        }
        if (bytes === null) asked.delete(name);
        else asked.set(name, { bytes, size });
      });
    },
    tidy: () => Promise.resolve(),
  };
}
