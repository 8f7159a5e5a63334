import type { Deciding } from './plans/planned.ts';
import type { Room } from './placement.ts';

/**
 * What the hosts have that may take something from this one: online, not evacuated themselves, and those that are named, or
 * else those that slaves.conf does not leave out (`skipped`).
 */
export function roomsOf(
  { pool, marks }: Deciding,
  from: string,
  to?: string[],
  skipped: string[] = [],
): Room[] {
  return pool.hosts().flatMap((host) => {
    const info = pool.info(host);
    if (host === from || !pool.isOnline(host) || !info || marks.get(host)) return [];
    if (to ? !to.includes(host) : skipped.includes(host)) return [];
    return {
      host,
      memory: { free: info.mem_free_bytes, total: info.mem_bytes },
      disk: { free: info.storage.free, total: info.storage.total },
      sends: info.storage.capabilities.send,
      networks: info.networks,
      vservers: pool
        .all()
        .filter((one) => one.host === host)
        .map((one) => one.name),
    };
  });
}
