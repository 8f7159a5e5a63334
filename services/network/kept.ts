import { z } from 'zod';
import { networksOnHost } from '../../config/host-networks.ts';
import { loadNetworks } from '../../config/networks.ts';
import { type Network, network } from '../../shared/contract/network.ts';
import { type PoolNetworks, poolNetworks } from '../../shared/contract/networks.ts';
import { name } from '../../shared/contract/names.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, renameDurable, writeJson } from '../../shared/store.ts';
import { type Settled, settle } from './settle.ts';

const ofHost = z.object(network.shape);
const file = z.looseObject({
  version: z.literal(1),
  taken: poolNetworks,
  networks: z.array(ofHost),
  leaving: z.array(ofHost),
  held: z.array(z.object({ network: name, vservers: z.array(name) })),
});
type Kept = z.infer<typeof file>;

/**
 * The networks of this host: those that the master has told, kept in STATE_DIR/networks.json so that the host boots without
 * it; else those of its own networks.conf.
 */
export function openKept({ settings, host, log }: Pick<Context, 'settings' | 'host' | 'log'>) {
  const path = `${settings.STATE_DIR}/networks.json`;
  let kept: Kept | undefined;
  let isRead: Promise<void> | undefined;

  /** A damaged file is put aside: the master tells all of it again. */
  const read = () =>
    (isRead ??= readJson(path, file).then(
      (found) => void (kept = found),
      async (error: unknown) => {
        if (!(error instanceof VsError)) throw error;
        log.error({ error: String(error), file: path }, 'the networks of the master cannot be read');
        await renameDurable(path, `${path}.damaged-${Date.now()}`);
      },
    ));
  async function write(next: Kept): Promise<void> {
    await writeJson(path, file, next);
    kept = next;
  }

  return {
    /** All networks of this host, as it has them. */
    async networks(): Promise<Network[]> {
      await read();
      return kept?.networks ?? loadNetworks(settings);
    },
    async state() {
      await read();
      return kept
        ? { source: 'master' as const, version: kept.taken.version, held: kept.held }
        : { source: 'file' as const, held: [] };
    },
    /** What was to be taken down, and may still be up. */
    leaving: (): Network[] => kept?.leaving ?? [],
    /**
     * Takes what the master tells, or with `undefined` tries again what could not be taken; answers how it settled. undefined:
     * it is older than what is known, or there is nothing to do.
     */
    async take(
      told: PoolNetworks | undefined,
      users: (network: Network) => string[],
    ): Promise<Settled | undefined> {
      await read();
      if (told ? kept && told.version <= kept.taken.version : !kept || kept.held.length === 0)
        return undefined;
      const taken = told ?? kept?.taken;
      if (!taken) return undefined;
      // a networks.conf that cannot be read is no reason to have none
      const own = async () =>
        networksOnHost(await loadNetworks(settings).catch(() => []), undefined, settings.MTU);
      const before = kept?.networks ?? (await own());
      const wanted = networksOnHost(taken.networks, taken.hosts[host], settings.MTU);
      const settled = settle(before, wanted, users);
      const leaving = [...(kept?.leaving ?? []), ...settled.leaving].filter(
        (one) => !settled.networks.some((other) => JSON.stringify(other) === JSON.stringify(one)),
      );
      const next = { version: 1 as const, taken, ...settled, leaving };
      if (JSON.stringify(next) !== JSON.stringify(kept)) await write(next);
      return { ...settled, leaving };
    },
    /** These are down. */
    async gone(networks: Network[]): Promise<void> {
      if (kept && networks.length > 0)
        await write({ ...kept, leaving: kept.leaving.filter((one) => !networks.includes(one)) });
    },
  };
}
