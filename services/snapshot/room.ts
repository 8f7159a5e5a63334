import { statfs } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import { type Space, inOrder, nextOfAll } from './choice.ts';
import type { Driver } from './drivers.ts';
import type { KeptRoom } from './kept-room.ts';
import type { Trash, TrashEntry } from './trash.ts';

export const size = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
const day = (ts: number) => new Date(ts).toISOString().slice(0, 10);

/** Space of VSERVER_DIR, and what of the trash makes room there. */
export function openRoom(
  { settings, host, bus, log }: Pick<Context, 'settings' | 'host' | 'bus' | 'log'>,
  driver: () => Promise<Driver>,
  trash: () => Promise<Trash>,
  kept: KeptRoom,
) {
  async function space(): Promise<Space> {
    const own = await (await driver()).space?.();
    if (own) return own;
    const { bsize, blocks, bavail } = await statfs(settings.VSERVER_DIR);
    return { total: bsize * blocks, free: bsize * bavail };
  }
  /** Destroys entries and tells it; answers the bytes that came free. */
  async function empty(entries: TrashEntry[], why: string): Promise<number> {
    const before = (await space()).free;
    for (const one of entries) {
      await (await trash()).destroy(one);
      await kept.leave(one.uuid);
      const message = `the copy of ${one.name} of ${day(one.ts)} (${one.why}) is gone from the trash of ${host}: ${why}`;
      bus.event('snapshot', 'emptied', message, { vserver: one.name });
    }
    if (entries.length > 0) await (await driver()).settle(settings.VSERVER_DIR);
    return Math.max(0, (await space()).free - before);
  }
  return {
    space,
    empty,
    /** Room for `bytes`, if need be from the trash; nothing of it goes when all of it would not do. */
    async make(bytes: number): Promise<number> {
      const needed = Math.ceil(bytes * 1.05);
      const before = (await space()).free;
      if (before >= needed) return before;
      const bin = await trash();
      const olds: TrashEntry[] = [];
      for (const old of await bin.list()) olds.push((await bin.measure(old)) ?? old);
      const inTrash = olds.reduce((sum, one) => sum + (one.bytes ?? 0), 0);
      if (before + inTrash >= needed) {
        for (const old of inOrder(olds)) {
          if ((await space()).free >= needed) break;
          await empty([old], `its space was needed (${size(needed)})`);
        }
      }
      const { free } = await space();
      if (free < needed)
        throw new VsError(
          'failed',
          `no space left in ${settings.VSERVER_DIR} on ${host} (${size(needed)} needed, ${size(free)} free, ${size(inTrash)} in the trash)`,
        );
      return free;
    },
    /** What is past its time or was begun goes; then, below TRASH_MIN_FREE, what nextToGo names. Sizes that are not known are counted. */
    async tidy(): Promise<void> {
      const bin = await trash();
      for (const one of await bin.due(Date.now()))
        await empty([one], one.ending ? 'it was begun before' : 'its grace time is over');
      for (;;) {
        const now = await space();
        const next = nextOfAll(await bin.list(), await kept.automatic(), now, settings.TRASH_MIN_FREE);
        if (!next) break;
        const share = ((now.free / now.total) * 100).toFixed(1);
        const why = `${share} % of the disk was free, TRASH_MIN_FREE is ${settings.TRASH_MIN_FREE}`;
        if ('entry' in next) await empty([next.entry], why);
        else {
          await kept.drop(next.snapshot, why);
          await (await driver()).settle(settings.VSERVER_DIR);
        }
      }
      await kept.tidy();
      for (const one of await bin.list())
        await bin.measure(one).catch((error: unknown) => log.warn({ error: String(error) }, 'trash'));
    },
  };
}
