import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { type Mount, mountOf } from '../../shared/mount.ts';
import type { Driver, DriverSettings } from './drivers.ts';
import { linkedAt, links, volumeOf } from './lvm-places.ts';
import { type Volume, faultsOf, firstSize, nextSize } from './lvm-report.ts';
import { openVolumes } from './lvm-volumes.ts';
import { growSnapshot, snapshotThick, volumes } from './lvm.ts';

/** Marks the volumes of a host's directory. */
export const tagOf = ({ HOST, VSERVER_DIR }: Pick<Settings, 'HOST' | 'VSERVER_DIR'>): string =>
  `vs-tools-${createHash('sha256').update(`${HOST}:${VSERVER_DIR}`).digest('hex').slice(0, 12)}`;

/** What fits into a thick snapshot is gone: whoever reads from it has to give up. */
export const lostText = (one: Volume): string =>
  `the snapshot overflowed: more changed on ${one.group}/${one.origin} meanwhile than the ${Math.round(one.size / 1024 ** 2)} MiB that fit into it, and ${one.group} had no space to grow it; give that volume group free space (vgextend), or raise LVM_SNAPSHOT_PERCENT`;

/** The classic layout: all vservers on one logical volume, of which a thick snapshot is made as long as somebody reads it. */
export function lvmThick(settings: DriverSettings, plain: Driver): Driver {
  const { VSERVER_DIR: directory, LVM_SNAPSHOT_PERCENT: percent } = settings;
  const tag = tagOf(settings);
  const mount = async (): Promise<Mount> =>
    mountOf(await readFile('/proc/self/mountinfo', 'utf8'), directory);
  async function origin(): Promise<Volume> {
    const { source, place } = await mount();
    const [found] = source.startsWith('/dev/') ? await volumes(source).catch(() => []) : [];
    if (!found)
      throw new VsError(
        'failed',
        `STORAGE is lvm, and ${directory} lies on ${source || 'nothing'} (mounted at ${place}), which is no logical volume; mount one there, or set another STORAGE`,
      );
    return found;
  }
  const all = openVolumes({
    directory,
    group: async () => (await origin()).group,
    options: async () => ((await mount()).type === 'xfs' ? 'nouuid' : ''),
  });
  const mine = async () => (await volumes((await origin()).group)).filter((one) => one.tags.includes(tag));

  return {
    ...plain,
    storage: 'lvm',
    capabilities: { snapshot: true, keep: false, send: false },
    async snapshot(from, to) {
      if (await all.isWhole(to)) return;
      const of = await origin();
      const size = firstSize(of, percent);
      if (size === undefined)
        throw new VsError(
          'refused',
          `the volume group ${of.group} has no space left for a snapshot of ${of.name}; give it some: vgextend ${of.group} DEVICE`,
        );
      const { place } = await mount();
      await all.make(
        to,
        relative(place, from),
        true,
        (name) => snapshotThick(of.group, of.name, name, size, tag),
        (one) => (one.lost ? lostText(one) : undefined), // before it was mounted
      );
    },
    remove: all.remove,
    made: linkedAt,
    prepare: () => all.mountAll(),
    async lost(path) {
      const name = await volumeOf(path);
      if (name === undefined) return undefined;
      const one = await all.find(name);
      return one ? (one.lost ? lostText(one) : undefined) : `its volume ${name} is gone`;
    },
    async watch() {
      if ((await links(directory)).length === 0) return;
      for (const one of await mine()) {
        const next = nextSize(one);
        if (next !== undefined) await growSnapshot(one.group, one.name, next);
      }
    },
    faults: async () =>
      faultsOf(await mine(), tag, new Set((await links(directory)).map((one) => one.volume))),
  };
}
/** Where a tree lies inside of a volume of its own. */
export const TREE = 'tree';
export const treeIn = (place: string): string => join(place, TREE);
