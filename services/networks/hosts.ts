import type { Data } from '../../shared/contract/commands.ts';
import type { HostNetworks } from '../../shared/contract/networks.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import type { Placed } from './plan.ts';

const ANSWERS_MS = 5000;

/** Every address of a vserver with the network that it is in. */
export function placesOf({ host, vserver, state, network, address, address6, more = [] }: ScanRow): Placed[] {
  if (vserver === null || network === null || address === null) return [];
  const own = { network, address, ...(address6 === address ? {} : { address6 }) };
  return [own, ...more].flatMap((one) =>
    [one.address, one.address6].flatMap((each) =>
      each === undefined ? [] : [{ name: vserver, host, state, network: one.network, address: each }],
    ),
  );
}

/** The vservers of the whole pool, as far as it was heard, once for each address; and its hosts. */
export async function poolOf({ bus }: Pick<Context, 'bus'>) {
  const { rows, hosts } = await bus.request('master', 'orchestrator.scan', {});
  return { vservers: rows.flatMap(placesOf), hosts };
}
type Pool = Awaited<ReturnType<typeof poolOf>>;

const sentence = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Waits until the hosts that can be asked have taken a version, and says how far each is. */
export async function untilTaken(
  { bus }: Pick<Context, 'bus'>,
  hosts: Pool['hosts'],
  version: number,
): Promise<HostNetworks[]> {
  return Promise.all(
    hosts.map(async ({ host, state }): Promise<HostNetworks> => {
      if (state === 'offline') return { host, state };
      try {
        const taken = await bus.request(host, 'network.taken', { version }, { timeoutMs: 2 * ANSWERS_MS });
        return { host, state, ...taken };
      } catch (error) {
        return { host, state, fault: sentence(error) };
      }
    }),
  );
}

export interface Asked {
  told: HostNetworks;
  networks: Data<'network.list'>['networks'];
}
/** What the hosts that can be asked have of networks. */
export async function askHosts({ bus }: Pick<Context, 'bus'>, hosts: Pool['hosts']): Promise<Asked[]> {
  return Promise.all(
    hosts.map(async ({ host, state }): Promise<Asked> => {
      if (state === 'offline') return { told: { host, state }, networks: [] };
      try {
        const { networks, taken } = await bus.request(host, 'network.list', {}, { timeoutMs: ANSWERS_MS });
        return { told: { host, state, ...taken }, networks };
      } catch (error) {
        const fault =
          error instanceof VsError && error.code === 'unavailable' ? 'no answer' : sentence(error);
        return { told: { host, state, fault }, networks: [] };
      }
    }),
  );
}
