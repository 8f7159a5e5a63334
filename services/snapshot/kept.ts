import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type KeptRecord, keptRecord } from '../../shared/contract/kept.ts';
import { VsError } from '../../shared/errors.ts';
import { isKeptEntry } from '../../shared/kept.ts';
import { exists, readJson, renameDurable, syncDirectory, writeJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import type { Driver } from './drivers.ts';

/**
 * The snapshots that people keep: `UUID/SNAPSHOT/` with `tree` and `record.json`, by the uuid of the vserver, so that they are
 * its own whatever it is called and wherever on this host its tree lies. One is made and removed beside its place, under a
 * name that begins with a dot: what is listed is whole.
 */
export function openKept(
  directory: string,
  driver: () => Promise<Driver>,
  onDamage: (file: string, error: unknown) => void = () => undefined,
) {
  const turns = createTurns();
  const of = (uuid: string) => join(directory, uuid);
  const place = (uuid: string, snapshot: string) => join(of(uuid), snapshot);
  const record = (uuid: string, snapshot: string) => join(place(uuid, snapshot), 'record.json');
  const making = (uuid: string, snapshot: string) => join(of(uuid), `.${snapshot}.new`);
  const ending = (uuid: string, snapshot: string) => join(of(uuid), `.${snapshot}.gone`);
  const inTurn = <T>(uuid: string, snapshot: string, work: () => Promise<T>) =>
    turns(`${uuid} ${snapshot}`, work);
  const remove = async (path: string) => (await driver()).remove(path);

  const read = (uuid: string, snapshot: string): Promise<KeptRecord | undefined> =>
    readJson(record(uuid, snapshot), keptRecord);

  /** The kept snapshots of a vserver, the oldest first; a damaged one hides no other. */
  async function list(uuid: string): Promise<KeptRecord[]> {
    const names = (await readdir(of(uuid)).catch(() => [] as string[])).filter(isKeptEntry);
    const found = await Promise.all(
      names.map((snapshot) =>
        read(uuid, snapshot).catch((error: unknown) => {
          onDamage(record(uuid, snapshot), error);
          return undefined;
        }),
      ),
    );
    return found
      .filter((one) => one !== undefined)
      .sort((a, b) => a.taken - b.taken || a.snapshot.localeCompare(b.snapshot));
  }

  /** Takes it out of the list at once, durably; its space comes after. */
  const drop = (uuid: string, snapshot: string): Promise<boolean> =>
    inTurn(uuid, snapshot, async () => {
      if (!(await exists(place(uuid, snapshot)))) return false;
      await remove(ending(uuid, snapshot)); // of a removal that was cut off
      await renameDurable(place(uuid, snapshot), ending(uuid, snapshot));
      await remove(ending(uuid, snapshot));
      return true;
    });

  return {
    list,
    read,
    drop,
    /** The tree of one. */
    tree: (uuid: string, snapshot: string) => join(place(uuid, snapshot), 'tree'),
    /** The uuids that have any. */
    uuids: async () => (await readdir(directory).catch(() => [] as string[])).filter(isKeptEntry),
    /** A place for the tree of a new one. Throws 'conflict' when there is one of this name. */
    prepare: (uuid: string, snapshot: string): Promise<void> =>
      inTurn(uuid, snapshot, async () => {
        if (await exists(place(uuid, snapshot)))
          throw new VsError('conflict', `there is a snapshot ${snapshot} already; give another name`);
        await remove(making(uuid, snapshot));
        await mkdir(making(uuid, snapshot), { recursive: true, mode: 0o700 });
      }),
    /** The moment itself: the snapshot of a tree, which is not listed yet. */
    async cut(uuid: string, snapshot: string, from: string): Promise<void> {
      const at = making(uuid, snapshot);
      if (!(await exists(at)))
        throw new VsError('conflict', `nothing is prepared for the snapshot ${snapshot}`);
      await (await driver()).snapshot(from, join(at, 'tree'));
    },
    /** It is whole, and listed from now on. */
    seal: (one: KeptRecord): Promise<void> =>
      inTurn(one.uuid, one.snapshot, async () => {
        const at = making(one.uuid, one.snapshot);
        if (!(await exists(join(at, 'tree'))))
          throw new VsError('failed', `the snapshot ${one.snapshot} was not made`);
        await writeJson(join(at, 'record.json'), keptRecord, one);
        await renameDurable(at, place(one.uuid, one.snapshot));
        for (const path of [directory, dirname(directory)]) await syncDirectory(path);
      }),
    /** What was prepared is given up. */
    abandon: (uuid: string, snapshot: string): Promise<void> =>
      inTurn(uuid, snapshot, () => remove(making(uuid, snapshot))),
    protect: (uuid: string, snapshot: string, isProtected: boolean): Promise<KeptRecord> =>
      inTurn(uuid, snapshot, async () => {
        const one = await read(uuid, snapshot);
        if (!one) throw new VsError('not-found', `there is no snapshot ${snapshot}`);
        const changed = { ...one, protected: isProtected };
        await writeJson(record(uuid, snapshot), keptRecord, changed);
        return changed;
      }),
    /** It gives its name to another one, and is called otherwise from now on. */
    yieldName: (uuid: string, snapshot: string): Promise<void> =>
      inTurn(uuid, snapshot, async () => {
        const one = await read(uuid, snapshot);
        if (!one) return;
        for (let count = 1; ; count++) {
          const end = count === 1 ? '-old' : `-old${count}`;
          const name = `${snapshot.slice(0, 40 - end.length)}${end}`;
          if (await exists(place(uuid, name))) continue;
          await writeJson(record(uuid, snapshot), keptRecord, { ...one, snapshot: name });
          await renameDurable(place(uuid, snapshot), place(uuid, name));
          return;
        }
      }),
    /** All of a uuid go, protected or not: its last tree has gone from this host. */
    async forget(uuid: string): Promise<void> {
      if (!(await exists(of(uuid)))) return;
      const gone = join(directory, `.${uuid}.gone`);
      await remove(gone);
      await renameDurable(of(uuid), gone);
      await remove(gone);
    },
    /** They are those of another uuid from now on; a repeat changes nothing. */
    async rekey(from: string, to: string): Promise<void> {
      if (!(await exists(of(from)))) return;
      if (await exists(of(to))) throw new VsError('conflict', `${to} has kept snapshots already`);
      await renameDurable(of(from), of(to));
    },
    /** What a former life of this process was making or removing goes. */
    async clear(begun = performance.timeOrigin): Promise<void> {
      const isOld = async (path: string) =>
        ((await stat(path).catch(() => undefined))?.ctimeMs ?? Infinity) < begun;
      for (const entry of await readdir(directory).catch(() => [] as string[])) {
        if (!isKeptEntry(entry)) await remove(join(directory, entry));
        else
          for (const inner of await readdir(of(entry)).catch(() => [] as string[])) {
            const snapshot = /^\.(.+)\.(?:new|gone)$/.exec(inner)?.[1];
            if (snapshot !== undefined && (await isOld(join(of(entry), inner))))
              await inTurn(entry, snapshot, () => remove(join(of(entry), inner)));
          }
      }
    },
  };
}
export type Kept = ReturnType<typeof openKept>;
