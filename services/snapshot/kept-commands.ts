import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import type { Service } from '../../shared/service.ts';
import { compareTrees } from './differences.ts';
import { uuidsHere } from './orphans.ts';
import { mountReadOnly } from '../../shared/mount.ts';
import { mounted, unmountAll } from './mounts.ts';
import type { openRoom } from './room.ts';
import { exists } from '../../shared/store.ts';
import type { Turns } from '../../shared/turns.ts';
import { type KeptParts, type Taker, configOf, requireSnapshots, shown } from './take.ts';

const COMPARED = 1000;

/** The commands about the snapshots that people keep. */
export function keptHandlers(
  parts: KeptParts & { taker: Taker; room: ReturnType<typeof openRoom>; inTurn: Turns },
) {
  const { context, paths, driver, kept, taker, room, inTurn } = parts;
  const { host, settings } = context;

  /** The record of one. Throws 'not-found', or why there can be none. */
  async function known(name: string, snapshot: string) {
    const { uuid } = await configOf(parts, name);
    const one = await kept.read(uuid, snapshot);
    if (one) return one;
    if ((await kept.list(uuid)).length === 0) await requireSnapshots(parts, name);
    throw new VsError(
      'not-found',
      `${name} has no snapshot ${snapshot} on ${host}; see: vs snapshot list ${name}`,
    );
  }
  async function seen(one: Awaited<ReturnType<typeof known>>) {
    const places = await mounted(one.uuid, one.snapshot);
    return { ...shown(one), ...(places.length > 0 ? { mounted: places } : {}) };
  }
  async function listOf(name: string) {
    const { uuid } = await configOf(parts, name);
    return Promise.all((await kept.list(uuid)).map(async (one) => ({ ...(await seen(one)), name })));
  }

  return {
    'snapshot.take': async ({ name, snapshot, note, of }, call) => {
      if (of) {
        await configOf(parts, name);
        await requireSnapshots(parts, name, false);
        return taker.quiesce(name, of);
      }
      const one = await taker.take(name, { snapshot, note, by: call.issuer, kind: 'manual' });
      return { snapshot: shown(one), ...(one.frozenMs === undefined ? {} : { frozenMs: one.frozenMs }) };
    },
    'snapshot.cut': async ({ name, to }) => {
      await taker.cut(name, to);
      return {};
    },
    'snapshot.kept': async ({ name }) => ({ snapshots: await listOf(name) }),
    'snapshot.along': async ({ name }) => {
      const { uuid } = await configOf(parts, name);
      const trees = (await kept.list(uuid)).map(({ snapshot }) => kept.tree(uuid, snapshot));
      const bytes = await (await driver()).along?.(trees, await realpath(paths.vserver(name)));
      if (bytes === undefined)
        throw new VsError('refused', `nothing is sent with its snapshots from ${host}: that takes a btrfs`);
      return { bytes };
    },
    'snapshot.arrive': ({ name, saga, snapshots }) =>
      inTurn(name, async () => {
        const { uuid } = await configOf(parts, name);
        let arrived = 0;
        for (const { label, record } of snapshots) {
          const { snapshot, taken } = record;
          const before = await kept.read(uuid, snapshot);
          if (before?.saga === saga) continue; // of a try before
          const from = join(paths.staging(name, saga), label);
          if (!(await exists(from)))
            throw new VsError('failed', `the snapshot ${snapshot} of ${name} has not come to ${host}`);
          // the same one of an earlier time shares nothing with the tree that came; another one keeps its tree, not its name
          if (before?.taken === taken) {
            await unmountAll(await mounted(uuid, snapshot), true);
            await kept.drop(uuid, snapshot);
          } else if (before) await kept.yieldName(uuid, snapshot);
          await kept.prepare(uuid, snapshot);
          await kept.cut(uuid, snapshot, from);
          await kept.seal({ ...record, uuid, saga, version: 1 });
          arrived++;
        }
        return { arrived };
      }),
    'snapshot.drop': async ({ name, snapshots, saga }) => {
      const { uuid } = await configOf(parts, name);
      const ones = [];
      for (const snapshot of new Set(snapshots)) {
        const one = saga === undefined ? await known(name, snapshot) : await kept.read(uuid, snapshot);
        if (!one || (saga !== undefined && (one.saga !== saga || one.protected))) continue;
        if (one.protected)
          throw new VsError(
            'refused',
            `${snapshot} of ${name} is protected; end that first: vs snapshot unprotect ${name} ${snapshot}`,
          );
        const [place, ...more] = await mounted(uuid, snapshot);
        if (place !== undefined && saga === undefined)
          throw new VsError(
            'refused',
            `${snapshot} of ${name} is mounted at ${place} on ${host}; end that first: vs snapshot umount ${name} ${snapshot}`,
          );
        await unmountAll(place === undefined ? [] : [place, ...more], true);
        ones.push(one);
      }
      const before = (await room.space()).free;
      let dropped = 0;
      for (const one of ones) if (await kept.drop(uuid, one.snapshot)) dropped++;
      if (dropped > 0) await (await driver()).settle(settings.VSERVER_DIR);
      return { dropped, freed: Math.max(0, (await room.space()).free - before) };
    },
    'snapshot.protect': async ({ name, snapshot, protected: isProtected }) => {
      const { uuid } = await known(name, snapshot);
      return shown(await kept.protect(uuid, snapshot, isProtected));
    },
    'snapshot.compare': async ({ name, snapshot, other, limit }, call) => {
      const { uuid } = await known(name, snapshot);
      const to =
        other === undefined ? paths.vserver(name) : kept.tree(uuid, (await known(name, other)).snapshot);
      const scratch = join(settings.STATE_DIR, 'compare');
      return compareTrees(kept.tree(uuid, snapshot), to, scratch, limit ?? COMPARED, call.signal);
    },
    'snapshot.mount': async ({ name, snapshot, directory }) => {
      const one = await known(name, snapshot);
      const rootfs = join(kept.tree(one.uuid, snapshot), 'rootfs');
      await mountReadOnly(rootfs, directory);
      return seen(one);
    },
    'snapshot.umount': async ({ name, snapshot }) => {
      const { uuid } = await known(name, snapshot);
      const places = await mounted(uuid, snapshot);
      if (places.length === 0)
        throw new VsError('refused', `${snapshot} of ${name} is mounted nowhere on ${host}`);
      await unmountAll(places);
      return { unmounted: places };
    },
    'snapshot.rekey': async ({ from, to }) => {
      const here = await uuidsHere(settings.VSERVER_DIR);
      // another tree of it is here, and has them
      if (here && !here.has(from)) await kept.rekey(from, to);
      return {};
    },
  } satisfies Service['handlers'];
}
