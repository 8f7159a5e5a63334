import { existsSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { removeTrees } from '../../shared/remove.ts';
import { exists } from '../../shared/store.ts';
import type { Volume } from './lvm-report.ts';
import {
  isSnapshotPlace,
  link,
  links,
  mountAt,
  newVolumeName,
  placeOf,
  unlinkTree,
  unmountFrom,
  volumeOf,
} from './lvm-places.ts';
import { activate, removeVolume, volumes } from './lvm.ts';

/** What is common to both ways of LVM: trees that are links to volumes, which are mounted below `.volumes`. */
export interface Placing {
  directory: string;
  group: () => Promise<string>;
  /** For mount(8), besides ro or rw. */
  options: () => Promise<string>;
}
export type Volumes = ReturnType<typeof openVolumes>;

export function openVolumes({ directory, group, options }: Placing) {
  const find = async (name: string): Promise<Volume | undefined> =>
    (await volumes(await group())).find((one) => one.name === name);
  const deviceOf = async (name: string) => `/dev/${await group()}/${name}`;

  async function mount(name: string, isReadOnly: boolean): Promise<void> {
    const device = await deviceOf(name);
    if (!existsSync(device)) await activate(await group(), name);
    const more = await options();
    await mountAt(
      device,
      placeOf(directory, name),
      `${isReadOnly ? 'ro' : 'rw'},nodev${more ? `,${more}` : ''}`,
    );
  }

  /** Removes what is at a place with its volume, or a directory with all that lead to volumes from there. */
  async function remove(path: string): Promise<void> {
    const found = await lstat(path).catch(() => undefined);
    if (!found) return;
    const name = await volumeOf(path);
    if (name !== undefined) {
      await unmountFrom(placeOf(directory, name));
      for (let tries = 1; await find(name); tries++)
        try {
          await removeVolume(await group(), name);
        } catch (error) {
          if (tries >= 10) throw error; // udev may be looking at it
          await new Promise((resolve) => setTimeout(resolve, 300));
        }
      await unlinkTree(path);
      return;
    }
    // what lies in a root file system is the guest's: its links lead nowhere here
    for (const entry of found.isDirectory() ? await readdir(path, { withFileTypes: true }) : [])
      if (entry.name !== 'rootfs' && (entry.isDirectory() || entry.isSymbolicLink()))
        await remove(join(path, entry.name));
    if (await lstat(path).catch(() => undefined)) await removeTrees([path], 3_600_000);
  }

  return {
    directory,
    find,
    deviceOf,
    mount,
    remove,
    /** Makes a tree on a new volume, which `make` makes; `lost` says what is wrong with one that cannot be mounted. */
    async make(
      path: string,
      inside: string,
      isReadOnly: boolean,
      make: (name: string) => Promise<void>,
      lost: (one: Volume) => string | undefined = () => undefined,
    ): Promise<string> {
      const name = newVolumeName();
      await link(path, join(placeOf(directory, name), inside));
      try {
        await make(name);
        await mount(name, isReadOnly);
      } catch (error) {
        const made = await find(name).catch(() => undefined);
        const why = made && lost(made);
        await remove(path).catch(() => undefined); // else the next start, or whoever asked, finds it
        throw why === undefined ? error : new VsError('failed', why, { cause: error });
      }
      return name;
    },
    /** Is a tree there as a whole? One that was cut off while it was made is removed. */
    async isWhole(path: string): Promise<boolean> {
      if (await exists(path)) return true;
      if ((await volumeOf(path)) === undefined) return false;
      if (!/\/\.(?:staging|snapshots|kept)\//.test(path))
        throw new VsError('conflict', `${path} lies on a volume that is not mounted`);
      await remove(path);
      return false;
    },
    /** Mounts what trees lead to, before anybody looks for them, but `broken` volumes; answers what could not be mounted, and why. */
    async mountAll(broken = new Map<string, string>()): Promise<string[]> {
      const faults: string[] = [];
      for (const { path, volume } of await links(directory)) {
        const why = broken.get(volume);
        if (why !== undefined) faults.push(`${path} is not mounted: ${why}`);
        if (why !== undefined || (await exists(path))) continue;
        await mount(volume, isSnapshotPlace(directory, path)).catch((error: unknown) =>
          faults.push(
            `${path} cannot be mounted: ${error instanceof VsError ? error.message : String(error)}`,
          ),
        );
      }
      return faults;
    },
  };
}
