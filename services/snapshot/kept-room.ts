import type { KeptRecord } from '../../shared/contract/kept.ts';
import type { Context } from '../../shared/service.ts';
import type { Kept } from './kept.ts';
import { mounted, unmountAll } from './mounts.ts';
import { orphanWatch, uuidsHere } from './orphans.ts';
import { automatic } from './retention.ts';

/** Which kept snapshots go by themselves: with the last tree of their vserver, or for the space that is needed. */
export function keptRoom(
  { settings, host, bus, log }: Pick<Context, 'settings' | 'host' | 'bus' | 'log'>,
  kept: Kept,
) {
  const orphans = orphanWatch();
  async function forget(uuid: string, why: string): Promise<void> {
    const all = await kept.list(uuid);
    await unmountAll(await mounted(uuid), true);
    await kept.forget(uuid);
    const [first] = all;
    if (!first) return;
    const many = all.length === 1 ? 'a snapshot' : `${all.length} snapshots`;
    bus.event('snapshot', 'emptied', `${many} of ${first.vserver} are gone from ${host}: ${why}`, {
      vserver: first.vserver,
    });
  }
  return {
    /** Those that the schedule made on this host, the oldest first; what is looked into stays. */
    async automatic(): Promise<KeptRecord[]> {
      const all = automatic((await Promise.all((await kept.uuids()).map(kept.list))).flat());
      const isFree = await Promise.all(
        all.map(async (one) => (await mounted(one.uuid, one.snapshot)).length === 0),
      );
      return all.filter((_one, index) => isFree[index]);
    },
    /** One of those goes, and it is told. */
    async drop(one: KeptRecord, why: string): Promise<void> {
      await kept.drop(one.uuid, one.snapshot);
      const message = `the snapshot ${one.snapshot} of ${one.vserver} is gone from ${host}: ${why}`;
      bus.event('snapshot', 'emptied', message, { vserver: one.vserver });
    },
    /** An entry of the trash is gone: the snapshots go with it, when it was the last tree of its vserver here. */
    async leave(uuid: string): Promise<void> {
      if (!(await kept.uuids()).includes(uuid)) return;
      const here = await uuidsHere(settings.VSERVER_DIR);
      if (here && !here.has(uuid)) await forget(uuid, 'no tree of it is left there');
    },
    /** What was left of a crash between the two. */
    async tidy(): Promise<void> {
      const uuids = await kept.uuids();
      if (uuids.length === 0) return;
      const here = await uuidsHere(settings.VSERVER_DIR);
      if (!here) log.warn('a vserver.json cannot be read, so no snapshots are tidied up');
      for (const uuid of orphans(uuids, here)) await forget(uuid, 'no tree of it is left there');
    },
  };
}
export type KeptRoom = ReturnType<typeof keptRoom>;
