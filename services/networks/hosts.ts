import type { Data } from '../../shared/contract/commands.ts';
import type { HostNetworks } from '../../shared/contract/networks.ts';
import { type VserverState, vserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { openHeard } from '../../shared/heard.ts';
import type { Context } from '../../shared/service.ts';
import type { Placed } from './plan.ts';

const ANSWERS_MS = 5000;

/** Every address of a vserver with the network that it is in; `offline`: its host is, so nobody knows whether it runs. */
export function placesOf(one: VserverState, offline: boolean): Placed[] {
  const { name, host, network, address, address6, more = [] } = one;
  const state = offline ? 'unknown' : one.state;
  return [{ network, address, address6 }, ...more].flatMap((at) => {
    const first = at.address ?? at.address6;
    return first === undefined ? [] : [{ name, host, state, network: at.network, address: first }];
  });
}

/** What the pool says of its vservers, heard from its hosts. */
export const openVservers = ({ bus }: Pick<Context, 'bus'>) =>
  openHeard(bus, bus.topics.all.vserverState, vserverState, { limit: 100_000 });

/** The vservers of the whole pool, as far as it was heard, and its hosts. */
export async function poolOf(
  { bus }: Pick<Context, 'bus'>,
  heard: Pick<Awaited<ReturnType<typeof openVservers>>, 'all'>,
) {
  const { rows, hosts } = await bus.request('master', 'orchestrator.scan', {});
  const offline = new Set(hosts.flatMap(({ host, state }) => (state === 'offline' ? [host] : [])));
  const known = new Set(rows.map(({ host, vserver }) => `${host}/${vserver}`));
  const further = heard
    .all()
    .map(({ value }) => value)
    .filter(({ host, name }) => known.has(`${host}/${name}`))
    .flatMap((one) => placesOf(one, offline.has(one.host)).slice(1));
  const first = rows.flatMap(({ host, vserver, state, network, address }): Placed[] =>
    vserver === null || network === null || address === null
      ? []
      : [{ name: vserver, host, state, network, address }],
  );
  return { vservers: [...first, ...further], hosts };
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
