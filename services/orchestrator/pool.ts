import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { loadSlaves } from '../../config/slaves.ts';
import { type HostInfo, hostInfo, status } from '../../shared/contract/host.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import { scanRowOf } from '../../shared/scan-row.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';
import { locate } from './locate.ts';
import { openNoselect } from './noselect.ts';

/** So many hosts, and so many vservers, are taken in. */
const MOST = 100_000;
/** What is retained comes in a row: so long without a word (ms), and all of it is here. */
const QUIET_MS = 200;

/** The pool as its hosts publish it: who is online, what they are, which vservers they have. */
export function openPool(context: Pick<Context, 'bus' | 'settings'>, repeatMs?: number) {
  const { bus } = context;
  const online = new Map<string, boolean>();
  /** Hosts whose status was heard. */
  const told = new Set<string>();
  let heard = 0;
  const lives = new Map<string, string>();
  const infos = new Map<string, HostInfo>();
  const vservers = new Map<string, VserverState>();

  const listen = <T extends z.ZodType>(
    filter: string,
    schema: T,
    take: (host: string, name: string, value: z.infer<T> | undefined) => void,
  ) =>
    openHeard(bus, filter, z.unknown(), {
      limit: MOST,
      ...(repeatMs === undefined ? {} : { repeatMs }),
      changed(_before, now, topic) {
        heard = performance.now();
        const levels = topic.slice(bus.topics.base.length + 1).split('/');
        const parsed = now === undefined ? undefined : schema.safeParse(now);
        if (parsed && !parsed.success) return; // of a newer agent: what was known before is better than nothing
        take(levels[1] ?? '', levels[3] ?? '', parsed?.data as z.infer<T> | undefined);
      },
    });
  const noselect = openNoselect(context.settings);
  const isOnline = (host: string) => online.get(host) === true;
  const row = (one: VserverState): ScanRow => scanRowOf(one, isOnline(one.host));

  return {
    async start(): Promise<void> {
      // a host that did not report yet is offline, not unknown
      for (const { host } of await loadSlaves(context.settings)) online.set(host, false);
      await listen(bus.topics.all.hostStatus, status, (host, _name, value) => {
        told.add(host);
        if (value?.state === 'online') lives.set(host, value.session);
        if (value) online.set(host, value.state === 'online');
        else online.delete(host);
      });
      await listen(bus.topics.all.hostInfo, hostInfo, (host, _name, value) =>
        value ? infos.set(host, value) : infos.delete(host),
      );
      await listen(bus.topics.all.vserverState, vserverState, (host, name, value) =>
        value ? vservers.set(`${host}/${name}`, value) : vservers.delete(`${host}/${name}`),
      );
    },
    /**
     * After a connect: true once every host of slaves.conf has said whether it is there, those that are have said what they
     * are, and all that they have was heard; false when that takes longer than `ms`, as with a host that never was there.
     */
    async settled(ms: number): Promise<boolean> {
      const end = performance.now() + ms;
      const isHeard = () =>
        [...online].every(([host, isThere]) => told.has(host) && (!isThere || infos.has(host))) &&
        performance.now() - heard >= QUIET_MS;
      while (!isHeard()) {
        if (performance.now() >= end) return false;
        await sleep(20);
      }
      return true;
    },
    isOnline,
    /** Which life of its agent a host is in, as far as it was heard. */
    life: (host: string) => lives.get(host),
    hosts: () => [...online.keys()].sort(),
    info: (host: string) => infos.get(host),
    all: () => [...vservers.values()],
    of: (name: string) => [...vservers.values()].filter((one) => one.name === name),
    rows(filter: { host?: string; name?: string }): ScanRow[] {
      const rows: ScanRow[] = [];
      for (const host of [...online.keys()].sort()) {
        if (filter.host && filter.host !== host) continue;
        if (!isOnline(host))
          rows.push({
            host,
            vserver: null,
            state: 'offline',
            enabled: null,
            address: null,
            network: null,
            epoch: null,
          });
        const here = [...vservers.values()].filter(
          (one) => one.host === host && (!filter.name || one.name === filter.name),
        );
        rows.push(...here.sort((a, b) => a.name.localeCompare(b.name)).map(row));
      }
      return rows;
    },
    requireHost(host: string): HostInfo {
      if (!online.has(host))
        throw new VsError(
          'not-found',
          `there is no host ${host}; the pool has ${[...online.keys()].sort().join(', ') || 'none'}`,
        );
      const info = infos.get(host);
      if (!isOnline(host) || !info) throw new VsError('refused', `${host} is offline`, { retryable: true });
      return info;
    },
    /** Where a vserver is (locate.ts). */
    locate: (name: string): VserverState => locate(name, [...vservers.values()], noselect()),
  };
}
export type Pool = ReturnType<typeof openPool>;
