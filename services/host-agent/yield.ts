import { setTimeout as sleep } from 'node:timers/promises';
import { type VserverState, removedVserver, vserverState } from '../../shared/contract/vserver.ts';
import { ownedNames, readOwnership } from '../../shared/ownership.ts';
import type { Context } from '../../shared/service.ts';
import type { Commands } from './commands.ts';
import type { States } from './state.ts';

/** What is retained comes in a row: so long without a word (ms), and all of it is here. */
const QUIET_MS = 500;
/** What could not be given up, for the disk had an error, is tried again after so long (ms). */
const AGAIN_MS = 5000;

type Other = Pick<VserverState, 'host' | 'name' | 'uuid' | 'epoch'>;

/**
 * Watches the pool: when another host owns a vserver of ours with a higher epoch, or did before it was removed there, ours yields
 * (an old disk came back, or it was recovered elsewhere while we were away). Its files stay where they are, owned by nobody,
 * until a person has looked at them.
 */
export function watchOwners(context: Context, commands: Commands, states: Pick<States, 'disown'>) {
  const { bus, host, settings, log } = context;
  const owned = ownedNames(settings);
  const yielding = new Set<Promise<void>>();
  let heard = 0;

  /** Who else has it, or had it last before it was removed. */
  function otherOf(payload: unknown): (Other & { removed: boolean }) | undefined {
    const living = vserverState.safeParse(payload);
    if (living.success) return { ...living.data, removed: false };
    const removed = removedVserver.safeParse(payload);
    return removed.success ? { ...removed.data, removed: true } : undefined;
  }
  async function compare(payload: unknown): Promise<void> {
    const other = otherOf(payload);
    // what this host had itself and removed may be back on purpose: somebody put an old disk in
    if (!other || other.host === host || other.epoch === 0) return;
    // it may have been renamed since this host had it
    const name = await owned(other.uuid);
    if (name === undefined) return;
    const own = await readOwnership(settings, name);
    if (!own?.owner || own.uuid !== other.uuid || own.epoch >= other.epoch) return;
    if (!(await commands.yield(name, other.host, other.epoch))) return;
    const called = name === other.name ? '' : ` as ${other.name}`;
    const why = other.removed
      ? `it was removed${called} from ${other.host}, which owned it`
      : `${other.host} owns it${called}`;
    const message = `${name} was stopped and given up on ${host}: ${why} with epoch ${other.epoch}, this host had ${own.epoch}`;
    bus.event('host-agent', 'yielded', message, { vserver: name });
    states.disown(name, other.epoch, message);
  }
  /** Until it has given way: until then it would be started here, as far as this host knows. */
  async function giveWay(payload: unknown): Promise<void> {
    for (;;) {
      try {
        return await compare(payload);
      } catch (error) {
        log.error({ err: error }, 'could not give way to what the pool says of a vserver; it is tried again');
      }
      await sleep(AGAIN_MS, undefined, { ref: false });
    }
  }
  const connected = new Promise<void>((resolve) => bus.onConnect(resolve));
  const hear = (_topic: string, payload: unknown) => {
    heard = performance.now();
    const work = giveWay(payload);
    yielding.add(work);
    void work.finally(() => yielding.delete(work));
  };
  const filters = [bus.topics.all.vserverState, bus.topics.removed('+')];
  const subscribed = Promise.all(filters.map((filter) => bus.subscribe(filter, hear)));

  return {
    subscribed,
    /**
     * Resolves when what the pool says was heard and given way to: true; or false after `ms` without it. Nothing that another
     * host took over is owned here after that, unless that host is silent, too.
     */
    async compared(ms: number, signal: AbortSignal): Promise<boolean> {
      const end = performance.now() + ms; // the time of day may be set anew meanwhile
      const late = sleep(ms, 'late' as const, { signal, ref: false }).catch(() => 'late' as const);
      const there = Promise.all([connected, subscribed]).then(() => 'there' as const);
      if ((await Promise.race([there, late])) === 'late') return false;
      const since = performance.now();
      while (performance.now() - Math.max(since, heard) < QUIET_MS) {
        if (performance.now() >= end || signal.aborted) break;
        await sleep(50);
      }
      await Promise.race([Promise.all(yielding), late]);
      return true;
    },
  };
}
