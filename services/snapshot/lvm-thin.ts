import { mkdir } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import type { Driver, DriverSettings } from './drivers.ts';
import { linkedAt, links, placeOf, volumeOf } from './lvm-places.ts';
import { type Volume, faultsOf } from './lvm-report.ts';
import { TREE, tagOf, treeIn } from './lvm-thick.ts';
import { openVolumes } from './lvm-volumes.ts';
import { createThin, snapshotThin, volumes } from './lvm.ts';
import { mendShrunk, volumeQuota } from './volume-quota.ts';

const MiB = 1024 ** 2;
/** The least size of a volume that is to be filled. */
const LEAST = 256 * MiB;

/** How large the volume of a tree begins that is to take so many bytes; it is grown when it is in its place (volume-quota.ts). */
export const beginSize = (bytes: number): number => Math.max(LEAST, 2 * bytes);

/** Every tree is a thin volume of its own, in a pool (lvmthin(7)). */
export function lvmThin(settings: DriverSettings, plain: Driver): Driver {
  const { VSERVER_DIR: directory, LVM_POOL: where } = settings;
  const [group = '', pool = ''] = where.split('/');
  if (!pool)
    throw new VsError(
      'usage',
      'STORAGE is lvm-thin, and LVM_POOL does not say in which thin pool; write LVM_POOL=GROUP/POOL into vs-tools.conf',
    );
  const tag = tagOf(settings);
  const all = openVolumes({
    directory,
    group: () => Promise.resolve(group),
    // tables of inodes are not written before they are used, and what files leave is the pool's again
    options: () => Promise.resolve('discard,noinit_itable'),
  });
  async function poolNow(): Promise<Volume> {
    const found = (await volumes(group)).find((one) => one.name === pool && one.kind === 'pool');
    if (!found)
      throw new VsError(
        'failed',
        `there is no thin pool ${where} (LVM_POOL); make it: lvcreate --type thin-pool -L SIZE -n ${pool} ${group}`,
      );
    return found;
  }
  async function originOf(path: string): Promise<string> {
    const name = await volumeOf(path);
    if (name === undefined)
      throw new VsError(
        'refused',
        `${path} is on no volume of its own, for it was there before STORAGE was lvm-thin; move it to another host and back`,
      );
    return name;
  }
  const snapshot = async (from: string, to: string, isReadOnly: boolean): Promise<void> => {
    if (await all.isWhole(to)) return;
    const origin = await originOf(from);
    await all.make(to, TREE, isReadOnly, (name) => snapshotThin(group, origin, name, tag));
  };

  return {
    ...plain,
    storage: 'lvm-thin',
    capabilities: { snapshot: true, keep: true, send: false },
    async create(path, bytes = 0) {
      if (await all.isWhole(path)) return;
      const name = await all.make(path, TREE, false, async (fresh) => {
        await createThin(group, pool, fresh, beginSize(bytes), tag);
        // what nobody has written to a thin volume reads as zeros
        const how = ['-q', '-b', '4096', '-m', '0', '-E', 'nodiscard,assume_storage_prezeroed=1'];
        await run(['mkfs.ext4', ...how, await all.deviceOf(fresh)], { timeoutMs: 600_000 });
      });
      await mkdir(treeIn(placeOf(directory, name)), { mode: 0o700 });
    },
    snapshot: (from, to) => snapshot(from, to, true),
    promote: (from, to) => snapshot(from, to, false),
    place: (from, to) => snapshot(from, to, false),
    remove: all.remove,
    made: linkedAt,
    settle: () => Promise.resolve(),
    async prepare() {
      return all.mountAll(await mendShrunk(group, tag));
    },
    async space() {
      const { size, percent = 0 } = await poolNow();
      return { total: size, free: Math.floor(size * (1 - percent / 100)) };
    },
    faults: async () =>
      faultsOf(await volumes(group), tag, new Set((await links(directory)).map((one) => one.volume)), pool),
    quota: volumeQuota({ all, group, tag, most: async () => (await poolNow()).size }),
  };
}
