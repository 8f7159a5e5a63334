import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { readOwnership } from '../../shared/ownership.ts';
import type { Context } from '../../shared/service.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Locks } from './locks.ts';
import type { Lxc } from './lxc.ts';

/** The real state of every vserver of this host, published whenever it changes, whoever changed it. */
export function stateWatch(context: Context, parts: { lxc: Lxc; life: Lifecycle; locks: Locks }) {
  const { settings, bus, host, log } = context;
  const { lxc, life, locks } = parts;
  const published = new Map<string, VserverState>();
  const pids = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  async function one(name: string, alive: Set<string>): Promise<VserverState> {
    const config = await life.load(name);
    const record = await readOwnership(settings, name);
    let state: VserverState['state'] = 'stopped';
    let pid: number | undefined;
    if (alive.has(name)) {
      const known = published.get(name);
      if (known?.state === 'running' && known.pid && existsSync(`/proc/${known.pid}`))
        ({ state, pid } = known);
      else ({ state, pid } = await lxc.info(name));
    }
    const saga = await locks.holder(name);
    return {
      host,
      name,
      state,
      enabled: config.enabled,
      address: config.address,
      ...(config.address6 ? { address6: config.address6 } : {}),
      mac: config.mac,
      network: config.network,
      epoch: record?.owner ? record.epoch : 0,
      uuid: config.uuid,
      limits: config.limits,
      ...(pid ? { pid } : {}),
      ...(saga ? { saga } : {}),
      ts: Date.now(),
    };
  }

  /** A guest that rebooted itself has a new init: the neighbours are told again. */
  function rebooted(state: VserverState): void {
    const before = pids.get(state.name);
    if (state.pid === undefined) return void pids.delete(state.name);
    pids.set(state.name, state.pid);
    if (before === undefined || before === state.pid) return;
    bus.event('host-agent', 'rebooted', `${state.name} rebooted itself`, { vserver: state.name });
    bus
      .request(host, 'network.announce', { name: state.name, pid: state.pid, mac: state.mac })
      .catch((error: unknown) => log.warn({ error: String(error) }, 'announce'));
  }

  async function look(): Promise<void> {
    const alive = await lxc.alive();
    const names = (await readdir(settings.VSERVER_DIR).catch(() => [])).filter(
      (name) => !name.startsWith('.'),
    );
    const seen = new Set<string>();
    for (const name of names) {
      try {
        const state = await one(name, alive);
        seen.add(name);
        const { ts: _now, ...facts } = state;
        const { ts: _then, since, ...before } = published.get(name) ?? { ts: 0, since: undefined };
        if (JSON.stringify(facts) === JSON.stringify(before)) continue;
        const sameState = (before as Partial<VserverState>).state === state.state;
        const next = { ...state, ...(sameState && since ? { since } : { since: state.ts }) };
        published.set(name, next);
        rebooted(next);
        bus.retain(bus.topics.vserverState(host, name), next);
      } catch (error) {
        log.debug({ name, error: String(error) }, 'not a vserver, or just leaving');
      }
    }
    for (const name of published.keys()) {
      if (seen.has(name)) continue;
      published.delete(name);
      pids.delete(name);
      bus.retain(bus.topics.vserverState(host, name), null);
    }
  }

  return {
    /** Looks now (one look at a time) and answers every state. */
    async refresh(): Promise<VserverState[]> {
      while (running) await running;
      running = look().finally(() => (running = undefined));
      await running;
      return [...published.values()];
    },
    async of(name: string): Promise<VserverState> {
      return (await this.refresh()).find((state) => state.name === name) ?? one(name, await lxc.alive());
    },
    start(): void {
      timer = setInterval(
        () => void this.refresh().catch((error: unknown) => log.error({ err: error }, 'state')),
        1000,
      );
    },
    stop: () => clearInterval(timer),
  };
}
export type StateWatch = ReturnType<typeof stateWatch>;
