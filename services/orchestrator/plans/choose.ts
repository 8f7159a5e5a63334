import { loadSlaves } from '../../../config/slaves.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Pool } from '../pool.ts';
import type { Deciding } from './planned.ts';

/** What counts when a host is chosen: the smaller of free memory and free disk (bytes). */
export function free(pool: Pool, host: string): number {
  const info = pool.info(host);
  return info ? Math.min(info.mem_free_bytes, info.storage.free) : 0;
}

/** Hosts that may be chosen, the one with most room first: online, and not kept out by `noselect` in slaves.conf. */
export async function candidates({ context, pool }: Deciding): Promise<string[]> {
  const skipped = new Set(
    (await loadSlaves(context.settings)).filter((one) => one.noselect).map((one) => one.host),
  );
  return pool
    .hosts()
    .filter((host) => pool.isOnline(host) && pool.info(host) && !skipped.has(host))
    .sort((a, b) => free(pool, b) - free(pool, a));
}

/** The host with most room among those that have a network. Throws 'refused' when there is none. */
export async function chooseHost(deciding: Deciding, network: string): Promise<string> {
  const hosts = await candidates(deciding);
  const host = hosts.find((one) => deciding.pool.info(one)?.networks.includes(network));
  if (!host)
    throw new VsError(
      'refused',
      `no host that is online and may be chosen has network ${network} (${hosts.join(', ') || 'none is online'}); name one with --host`,
    );
  return host;
}
