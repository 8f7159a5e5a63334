import type { Data } from '../../shared/contract/commands.ts';
import {
  type Ownership,
  type VserverConfig,
  type VserverState,
  ownership,
  vserverConfig,
} from '../../shared/contract/vserver.ts';
import { keptCounter } from '../../shared/kept.ts';
import { readOwnership } from '../../shared/ownership.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { rereader } from '../../shared/store.ts';
import { loadVserver, vserverNames } from './files.ts';
import { standsStill } from './freezer.ts';
import type { Locks } from './locks.ts';
import type { Lxc } from './lxc.ts';

interface Seen {
  state: VserverState['state'];
  pid?: number | undefined;
  since: number;
  /** The same by a steady clock, as `asked`: the time of day may be set anew. */
  steady: number;
  asked: number;
}
const ASK_AGAIN_MS = 30_000;

/**
 * The real state of this host's vservers, also of those that people start by hand: looks each second which monitors
 * live and whether their inits do, asks the runtime when that changed, and publishes what is new.
 */
export function createStates(
  context: Context,
  paths: Paths,
  lxc: Lxc,
  locks: Locks,
  on: {
    restart(config: VserverConfig, pid: number): void;
    /** It runs, and this agent has not started it: not in this life, or not this time. */
    found(name: string, pid: number): void;
    /** The autostart of this boot has not come to it yet. */
    boots(name: string): boolean;
    /** It lives although this host has given it up. */
    givenUp(name: string): void;
    /** A look of each second has found it so. */
    seen(state: VserverState): void;
    /** Its files are gone. */
    gone(name: string): void;
  },
) {
  const { bus, host, settings, log } = context;
  const seen = new Map<string, Seen>();
  // a look each second parses only what changed: all else of it costs a tenth of that
  const rereadConfig = rereader(vserverConfig);
  const rereadOwnership = rereader(ownership);
  const published = new Map<string, string>();
  const broken = new Set<string>();
  /** Frozen for the moment of a snapshot: that is no state to tell of. */
  const held = new Set<string>();
  const keptOf = keptCounter(paths.kept);
  /** What this host gave up to another one, with its files still here; the epoch of the other one. */
  const disowned = new Map<string, number>();
  /** By name: what could be upgraded, as the last look found. */
  const upgrades = new Map<string, { upgrades: number; security: number }>();
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;

  async function ask(name: string, config: VserverConfig, alive: boolean): Promise<void> {
    if (held.has(name) && alive) return;
    const before = seen.get(name);
    const now = performance.now();
    const since = Date.now();
    if (!alive) {
      if (before?.state !== 'stopped') seen.set(name, { state: 'stopped', since, steady: now, asked: now });
      return;
    }
    if (before?.pid !== undefined && now - before.asked < ASK_AGAIN_MS) {
      const frozen = standsStill(before.pid);
      if (frozen !== undefined && before.state === (frozen ? 'frozen' : 'running')) return;
    }
    const info = await lxc.info(name);
    // the runtime knows nothing of a freeze that was not its own
    if (info.pid !== undefined && ['running', 'frozen'].includes(info.state))
      info.state = standsStill(info.pid) ? 'frozen' : 'running';
    const changed = before?.state !== info.state || before.pid !== info.pid;
    if (info.pid !== undefined && info.pid !== before?.pid) on.found(name, info.pid);
    const from = changed ? { since, steady: now } : { since: before.since, steady: before.steady };
    seen.set(name, { ...info, ...from, asked: now });
    if (changed && before?.pid !== undefined && info.pid !== undefined && before.pid !== info.pid) {
      bus.event('host-agent', 'rebooted', `${name} was restarted from inside or by hand`, { vserver: name });
      on.restart(config, info.pid);
    }
  }

  /** A command is just starting or stopping it, and tells its state itself: asking meanwhile would only slow it down. */
  function isChanging(name: string): boolean {
    const now = seen.get(name);
    return (
      (now?.state === 'starting' || now?.state === 'stopping') &&
      performance.now() - now.steady < ASK_AGAIN_MS
    );
  }

  async function stateOf(name: string, config: VserverConfig): Promise<VserverState> {
    return describe(name, config, await readOwnership(settings, name), await locks.holder(name));
  }
  function describe(
    name: string,
    config: VserverConfig,
    own: Ownership | undefined,
    saga: string | undefined,
  ): VserverState {
    const now = seen.get(name);
    const isOwned = own?.owner === true && own.uuid === config.uuid;
    const noted = upgrades.get(name);
    const snapshots = keptOf(config.uuid);
    const boots = now?.state === 'stopped' && isOwned && config.enabled && on.boots(name);
    return {
      host,
      name,
      state: boots ? 'starting' : (now?.state ?? 'unknown'),
      enabled: config.enabled,
      address: config.address,
      ...(config.address6 ? { address6: config.address6 } : {}),
      mac: config.mac,
      network: config.network,
      ...(config.more ? { more: config.more } : {}),
      epoch: isOwned ? own.epoch : 0,
      uuid: config.uuid,
      limits: config.limits,
      ...(config.boot ? { boot: config.boot } : {}),
      ...(config.template ? { template: config.template } : {}),
      ...(now?.pid ? { pid: now.pid } : {}),
      ...(now ? { since: now.since } : {}),
      ...(saga ? { saga } : {}),
      ...(snapshots > 0 ? { snapshots } : {}),
      ...(noted ? { upgrades: noted.upgrades, security_upgrades: noted.security } : {}),
      ts: Date.now(),
    };
  }

  function publish(state: VserverState): void {
    const text = JSON.stringify({ ...state, ts: 0 });
    if (published.get(state.name) === text) return;
    published.set(state.name, text);
    bus.retain(bus.topics.vserverState(host, state.name), state);
    if (state.epoch > (disowned.get(state.name) ?? Infinity)) settle(state.name);
  }

  /** Nobody needs to look at it any more. */
  function settle(name: string): void {
    if (disowned.delete(name)) bus.alert(name, 'ownership', null);
  }

  async function look(): Promise<void> {
    const names = await vserverNames(settings.VSERVER_DIR);
    const alive = await lxc.alive();
    for (const name of names) {
      try {
        const config = await loadVserver(paths, host, name, rereadConfig);
        if (!isChanging(name)) await ask(name, config, alive.has(name));
        const own = await rereadOwnership(paths.ownership(name));
        const now = describe(name, config, own, await locks.seen(name));
        publish(now);
        if (!isChanging(name)) on.seen(now);
        if (alive.has(name) && own?.owner === false && own.uuid === config.uuid) on.givenUp(name);
        if (broken.delete(name)) bus.alert(name, 'configuration', null);
      } catch (error) {
        if (broken.has(name)) continue;
        broken.add(name);
        bus.alert(name, 'configuration', {
          ts: Date.now(),
          severity: 'critical',
          message: error instanceof Error ? error.message : String(error),
        });
      }
    }
    for (const name of broken)
      if (!names.includes(name) && broken.delete(name)) bus.alert(name, 'configuration', null);
    for (const name of published.keys()) {
      if (names.includes(name)) continue;
      published.delete(name);
      seen.delete(name);
      settle(name);
      upgrades.delete(name);
      on.gone(name);
      bus.retain(bus.topics.vserverState(host, name), null);
    }
  }

  /** One look at a time; one that is asked for while another runs begins after it. */
  function refresh(): Promise<void> {
    const next = (looking ?? Promise.resolve()).then(look);
    looking = next.catch((error: unknown) => log.error({ err: error }, 'the state could not be read'));
    return next;
  }

  return {
    refresh,
    /** What runs, as the last look found it, a second ago at most; nothing is read or asked. */
    running(): Data<'host-agent.running'> {
      const all = [...published.values()].map((text) => JSON.parse(text) as VserverState);
      const running = all.flatMap((one) => {
        const { name, pid, since, limits, state, saga } = one;
        const packages = { upgrades: one.upgrades, security_upgrades: one.security_upgrades };
        return pid === undefined
          ? []
          : [{ name, pid, since, limits, state, ...(saga ? { saga } : {}), ...packages }];
      });
      return { running, hosted: all.length };
    },
    /** The state of one vserver as it is now. */
    async of(name: string): Promise<VserverState> {
      const config = await loadVserver(paths, host, name);
      await ask(name, config, (await lxc.alive()).has(name));
      const state = await stateOf(name, config);
      publish(state);
      return state;
    },
    /** It was given up to another host: an alert, until its files are gone or it is owned here again. */
    disown(name: string, epoch: number, message: string): void {
      disowned.set(name, epoch);
      bus.alert(name, 'ownership', { ts: Date.now(), severity: 'critical', message });
    },
    /** What could be upgraded in it. */
    async note(name: string, found: { upgrades: number; security: number }): Promise<void> {
      upgrades.set(name, found);
      publish(await stateOf(name, await loadVserver(paths, host, name)));
    },
    /** Says what is going on while a start or stop runs. */
    async mark(name: string, state: 'starting' | 'stopping'): Promise<void> {
      seen.set(name, {
        ...seen.get(name),
        state,
        since: Date.now(),
        steady: performance.now(),
        asked: -Infinity,
      });
      publish(await stateOf(name, await loadVserver(paths, host, name)));
    },
    /** It is not looked at until what is answered is called. */
    hold(name: string): () => void {
      held.add(name);
      return () => void held.delete(name);
    },
    /** The state of one vserver, asked of the runtime anew. */
    async again(name: string): Promise<VserverState> {
      const before = seen.get(name);
      if (before) seen.set(name, { ...before, asked: -Infinity });
      return this.of(name);
    },
    /** What the runtime just said of it need not be asked again. */
    saw(name: string, info: { state: VserverState['state']; pid: number | undefined }): void {
      const now = performance.now();
      seen.set(name, { ...info, since: Date.now(), steady: now, asked: now });
    },
    start(): void {
      let busy = false;
      timer = setInterval(() => {
        if (busy) return;
        busy = true;
        void refresh()
          .catch(() => undefined)
          .finally(() => (busy = false));
      }, 1000);
    },
    stop: () => clearInterval(timer),
  };
}
export type States = ReturnType<typeof createStates>;
