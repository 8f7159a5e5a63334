import { loadSlaves } from '../../../config/slaves.ts';
import type { HostInfo } from '../../../shared/contract/host.ts';
import type { Network } from '../../../shared/contract/network.ts';
import type { Limits } from '../../../shared/contract/limits.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Pool } from '../pool.ts';
import { size } from '../text.ts';
import type { Deciding } from './planned.ts';

/** What counts when a host is chosen: the smaller of free memory and free disk (bytes). */
export function free(pool: Pool, host: string): number {
  const info = pool.info(host);
  return info ? Math.min(info.mem_free_bytes, info.storage.free) : 0;
}

/** Hosts that may be chosen, the one with most room first: online, not kept out by `noselect` in slaves.conf, and not evacuated. */
export async function candidates({ context, pool, marks }: Deciding): Promise<string[]> {
  const skipped = new Set(
    (await loadSlaves(context.settings)).filter((one) => one.noselect).map((one) => one.host),
  );
  return pool
    .hosts()
    .filter((host) => pool.isOnline(host) && pool.info(host) && !skipped.has(host) && !marks.get(host))
    .sort((a, b) => free(pool, b) - free(pool, a));
}

/** What a new vserver needs of its host: its limits, and the bytes of its files (0: not known). */
export interface Wish {
  limits: Limits;
  disk: number;
}

/** Why limits make no sense on a host, which has less in all; undefined when they do. */
export function beyond(info: HostInfo, { limits }: Wish): string | undefined {
  const { memory_bytes: memory = 0, cpu = 0 } = limits;
  if (memory > info.mem_bytes)
    return `a memory limit of ${size(memory)} is more than the ${size(info.mem_bytes)} that ${info.host} has`;
  if (cpu > info.cpus) return `a limit of ${cpu} cores is more than the ${info.cpus} that ${info.host} has`;
  return undefined;
}

/** Why a host is not chosen by itself for that; undefined when it can be. */
function lacks(info: HostInfo, network: string, wish: Wish): string | undefined {
  const memory = wish.limits.memory_bytes ?? 0;
  const tooMuch = beyond(info, wish);
  if (tooMuch) return tooMuch;
  if (!info.networks.includes(network)) return `${info.host} has no network ${network}`;
  if (memory > info.mem_free_bytes)
    return `${info.host} has ${size(info.mem_free_bytes)} of memory free, not ${size(memory)}`;
  if (wish.disk > info.storage.free)
    return `${info.host} has ${size(info.storage.free)} of disk free, not ${size(wish.disk)}`;
  return undefined;
}

/**
 * The host with most room among those that have a network and room for it; `first`: one that is taken before all others.
 * Where no disk has room one is chosen all the same: what lies in its trash may make some. Throws 'refused' when there is none.
 */
export async function chooseHost(
  deciding: Deciding,
  network: string,
  wish: Wish = { limits: {}, disk: 0 },
  first?: string,
): Promise<string> {
  const hosts = (await candidates(deciding)).toSorted((a, b) => Number(b === first) - Number(a === first));
  let why: string[] = [];
  for (const disk of wish.disk > 0 ? [wish.disk, 0] : [0]) {
    why = [];
    for (const host of hosts) {
      const info = deciding.pool.info(host);
      const lack = info ? lacks(info, network, { ...wish, disk }) : `${host} is offline`;
      if (lack === undefined) return host;
      why.push(lack);
    }
  }
  throw new VsError(
    'refused',
    hosts.length === 0
      ? 'no host is online that may be chosen; name one with --host'
      : `no host that is online and may be chosen can take it: ${why.join('; ')}; name one with --host`,
  );
}

/** The network of an address, as the first of these hosts that has one for it knows it. Throws what the last one said. */
export async function networkOfAddress(
  { context }: Pick<Deciding, 'context'>,
  hosts: string[],
  address: string,
): Promise<Network> {
  let last: unknown = new VsError('unavailable', 'no host is online that may be chosen', { retryable: true });
  for (const host of hosts) {
    try {
      return (await context.bus.request(host, 'network.match', { address })).network;
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
