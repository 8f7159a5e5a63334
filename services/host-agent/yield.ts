import { setTimeout as sleep } from 'node:timers/promises';
import { vserverState } from '../../shared/contract/vserver.ts';
import { ownedNames, readOwnership } from '../../shared/ownership.ts';
import type { Context } from '../../shared/service.ts';
import type { Commands } from './commands.ts';

/** What is retained comes in a row: so long without a word (ms), and all of it is here. */
const QUIET_MS = 500;
/** What could not be given up, for the disk had an error, is tried again after so long (ms). */
const AGAIN_MS = 5000;

/**
 * Watches the pool: when another host owns a vserver of ours with a higher epoch, ours yields (an old disk came back, or it was
 * recovered elsewhere while we were away). Its files stay where they are, owned by nobody, until a person has looked at them.
 */
export function watchOwners(context: Context, commands: Commands) {
  const { bus, host, settings, log } = context;
  const owned = ownedNames(settings);
  const yielding = new Set<Promise<void>>();
  let heard = 0;

  async function compare(payload: unknown): Promise<void> {
    const parsed = vserverState.safeParse(payload);
    if (!parsed.success || parsed.data.host === host || parsed.data.epoch === 0) return;
    const other = parsed.data;
    // it may have been renamed since this host had it
    const name = await owned(other.uuid);
    if (name === undefined) return;
    const own = await readOwnership(settings, name);
    if (!own?.owner || own.uuid !== other.uuid || own.epoch >= other.epoch) return;
    if (!(await commands.yield(name, other.host, other.epoch))) return;
    const message = `${name} was stopped and given up on ${host}: ${other.host} owns it${name === other.name ? '' : ` as ${other.name}`} with epoch ${other.epoch}, this host had ${own.epoch}`;
    bus.event('host-agent', 'yielded', message, { vserver: name });
    bus.alert(name, 'ownership', { ts: Date.now(), severity: 'critical', message });
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
  const subscribed = bus.subscribe(bus.topics.all.vserverState, (_topic, payload) => {
    heard = Date.now();
    const work = giveWay(payload);
    yielding.add(work);
    void work.finally(() => yielding.delete(work));
  });

  return {
    subscribed,
    /**
     * Resolves when what the pool says was heard and given way to: true; or false after `ms` without it. Nothing that another
     * host took over is owned here after that, unless that host is silent, too.
     */
    async compared(ms: number, signal: AbortSignal): Promise<boolean> {
      const end = Date.now() + ms;
      const late = sleep(ms, 'late' as const, { signal, ref: false }).catch(() => 'late' as const);
      const there = Promise.all([connected, subscribed]).then(() => 'there' as const);
      if ((await Promise.race([there, late])) === 'late') return false;
      const since = Date.now();
      while (Date.now() - Math.max(since, heard) < QUIET_MS) {
        if (Date.now() >= end || signal.aborted) break;
        await sleep(50);
      }
      await Promise.race([Promise.all(yielding), late]);
      return true;
    },
  };
}
