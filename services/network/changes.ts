import type { Network } from '../../shared/contract/network.ts';
import { poolNetworks } from '../../shared/contract/networks.ts';
import type { Context } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import type { Arriving } from './arriving.ts';
import { bridgeDown, bridgeUp, unplug } from './bridges.ts';
import { links } from './ip.ts';
import type { openKept } from './kept.ts';
import { bridgeOf, trunkOf, usersOf } from './plan.ts';
import { ownersOf } from './ports.ts';
import { isProbe } from '../../shared/veth.ts';

/** How often it is looked which networks nobody uses any more, and so long one must have been without use (ms). */
const LOOK_MS = 15_000;
const IDLE_MS = 60_000;
/** So long an asker waits for a version (ms). */
const WAIT_MS = 5000;

/**
 * Brings what the master says of the networks to this host, and takes down what nobody uses: after the last vserver has
 * stopped, however it did, and after a crash.
 */
export function openChanges(
  context: Context,
  kept: ReturnType<typeof openKept>,
  arriving: Arriving,
  turns: Turns,
) {
  const { bus, host, settings, log } = context;
  const waiting = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let fault: { version: number; message: string } | undefined;

  /** Names of the vservers that are on a network or on their way to it. */
  async function usersNow(): Promise<(network: Network) => string[]> {
    const now = await links();
    const owners = await ownersOf(context);
    return (network) => {
      const ports = usersOf(network, now).filter((port) => !isProbe(port));
      // whatever a person has plugged in there is called by its device
      const here = ports.map((port) => owners.get(port) ?? port);
      for (const name of here) arriving.came(name, network.name);
      return [...new Set([...here, ...arriving.to(network.name)])].toSorted();
    };
  }

  async function takeDown(): Promise<void> {
    const gone: Network[] = [];
    const networks = await kept.networks();
    for (const one of kept.leaving()) {
      const isReplaced = networks.some((other) => bridgeOf(other) === bridgeOf(one));
      const usersOfOne = (await usersNow())(one);
      if (usersOfOne.length > 0 && !isReplaced) continue;
      if (usersOfOne.length === 0) await bridgeDown(one);
      // the wire may be that of another network by now
      if (!networks.some((other) => trunkOf(other) === trunkOf(one))) await unplug(one);
      gone.push(one);
    }
    await kept.gone(gone);
  }

  function tellHeld(held: { network: string; vservers: string[] }[]): void {
    const waits = held.map(({ network, vservers }) => `${network} (${vservers.join(', ')})`);
    const message = `${host} has not taken all that the master says of its networks: vservers are on them. It does when they have stopped: ${waits.join('; ')}`;
    bus.alert(
      'network',
      'networks',
      held.length > 0 ? { ts: Date.now(), severity: 'warning', message } : null,
    );
  }

  /** Takes a message of the master, or with `undefined` what is still to be done. */
  const take = (payload: unknown): Promise<void> =>
    turns('bridges', async () => {
      const told = payload === undefined ? undefined : poolNetworks.parse(payload);
      const settled = await kept.take(told, await usersNow());
      await takeDown();
      if (!settled) return;
      tellHeld(settled.held);
      if (!told) return;
      bus.event('network', 'networks', `${host} has the networks of version ${told.version}`);
      const now = await links();
      for (const one of settled.networks)
        if (now.has(bridgeOf(one)))
          await bridgeUp(one, settings.MTU).catch((error: unknown) => failed(told.version, error));
    });
  function failed(version: number, error: unknown): string {
    const message = error instanceof Error ? error.message : String(error);
    log.warn({ err: error }, 'a network could not be changed');
    fault = { version, message };
    return message;
  }

  async function heard(payload: unknown): Promise<void> {
    if (payload === null) return;
    fault = undefined;
    try {
      await take(payload);
    } catch (error) {
      const why = failed((payload as { version?: number }).version ?? 0, error);
      const message = `${host} cannot take the networks of the master: ${why}`;
      bus.alert('network', 'networks', { ts: Date.now(), severity: 'critical', message });
    }
    await bus
      .request(host, 'host-agent.tell', {})
      .catch((error: unknown) => log.debug({ error: String(error) }, 'info not told'));
    for (const wake of waiting) wake();
  }

  async function look(): Promise<void> {
    if (kept.leaving().length > 0 || (await kept.state()).held.length > 0) await take(undefined);
    const now = await links();
    const up = (await kept.networks()).filter((one) => now.has(bridgeOf(one)));
    const users = up.length > 0 ? await usersNow() : () => [];
    for (const one of up) {
      if (users(one).length > 0) arriving.touch(one.name);
      else if (arriving.isIdle(one.name, IDLE_MS))
        await turns('bridges', async () => {
          if (arriving.to(one.name).length === 0 && (await bridgeDown(one)))
            log.info({ network: one.name }, 'nobody is on it any more: it is down');
        });
    }
  }

  return {
    usersNow,
    state: async () => ({ ...(await kept.state()), ...(fault ? { fault: fault.message } : {}) }),
    /** Waits until this version, or a newer one, was taken, or could not be. */
    async taken(version: number) {
      const end = performance.now() + WAIT_MS;
      for (;;) {
        const now = await kept.state();
        if (now.source === 'master' && now.version >= version) break;
        const left = end - performance.now();
        if (left <= 0 || (fault && fault.version >= version)) break;
        await new Promise<void>((resolve) => {
          const done = () => {
            waiting.delete(done);
            clearTimeout(late);
            resolve();
          };
          const late = setTimeout(done, left);
          waiting.add(done);
        });
      }
      return this.state();
    },
    start(): void {
      const quietly = (work: Promise<void>) =>
        void work.catch((error: unknown) => log.warn({ err: error }, 'networks'));
      quietly(kept.state().then(({ held }) => (held.length > 0 ? tellHeld(held) : undefined)));
      quietly(take(undefined));
      void bus
        .subscribe(bus.topics.networks, (_topic, payload) => void heard(payload))
        .catch((error: unknown) => log.warn({ error: String(error) }, 'networks of the master not heard'));
      timer = setInterval(() => quietly(look()), LOOK_MS).unref();
    },
    stop: () => clearInterval(timer),
  };
}
