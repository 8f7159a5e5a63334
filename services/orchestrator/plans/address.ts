import { firstOf } from '../../../shared/addresses.ts';
import { requireUsable } from '../../../config/further.ts';
import type { HostInfo } from '../../../shared/contract/host.ts';
import type { Network } from '../../../shared/contract/network.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import { addressesOf } from '../../../shared/interfaces.ts';
import type { Pool } from '../pool.ts';

/** The IPv6 address that goes with an IPv4 one: the network's prefix and the last bytes as people write them (10.60.10.5 -> fd60:10::5). */
function derive6(network: Network, address: string | undefined): string | undefined {
  if (!network.subnet6 || !network.subnet || address === undefined) return undefined;
  const [prefix = ''] = network.subnet6.split('/');
  const bytes = address.split('.');
  const host = Number(network.subnet.split('/')[1]) >= 24 ? bytes.slice(3) : bytes.slice(2);
  return prefix.endsWith('::') ? `${prefix}${host.join(':')}` : undefined;
}

/** Addresses that a new vserver asks for: one of the two, or both; address6 by itself from the network's prefix. */
interface Wanted {
  address?: string | undefined;
  address6?: string | undefined;
}

/** The address by which the network of a new vserver is found. Throws 'usage' when there is none. */
export function requireFirst(wanted: Wanted): string {
  const address = firstOf(wanted);
  if (address === '') throw new VsError('usage', 'give an address: an IPv4 or an IPv6 one');
  return address;
}

/**
 * The IPv6 address that goes with it, once both may be used in this network: they are in it, no gateway, and belong to nobody
 * of the pool, also not on a host that is offline. Throws 'refused'.
 */
export function checkAddresses(
  pool: Pick<Pool, 'all'>,
  network: Network,
  wanted: Wanted,
): string | undefined {
  requireUsable(network, wanted);
  const address6 = wanted.address6 ?? derive6(network, wanted.address);
  requireUnused(pool.all(), [wanted.address, address6]);
  return address6;
}

/** None of these belongs to a vserver of the pool, also on a host that is offline. Throws 'refused'. */
export function requireUnused(all: VserverState[], addresses: (string | undefined)[], of = ''): void {
  for (const address of addresses) {
    const taken = address && all.find((one) => addressesOf(one).includes(address));
    if (taken) throw new VsError('refused', `${address}${of} belongs to ${taken.name} on ${taken.host}`);
  }
}

/** A host has all these networks. Throws 'refused'. */
export function requireNetworks(
  { host, networks }: Pick<HostInfo, 'host' | 'networks'>,
  wanted: string[],
): void {
  for (const network of wanted)
    if (!networks.includes(network))
      throw new VsError(
        'refused',
        `${host} has no network ${network}; it has ${networks.join(', ') || 'none'}`,
      );
}

/** What vserver.json says of a place in a network. */
export const placeIn = (
  network: Network,
  address: string | undefined,
  address6: string | undefined,
  prefix?: number,
) => ({
  network: network.name,
  ...(address ? { address, prefix: prefix ?? Number(network.subnet?.split('/')[1] ?? 24) } : {}),
  ...(address6 ? { address6, prefix6: Number(network.subnet6?.split('/')[1] ?? 64) } : {}),
});

/** Nobody of the pool has this name, also not on a host that is offline. Throws 'conflict'. */
export function requireFree(pool: Pick<Pool, 'all' | 'isOnline'>, name: string, more = ''): void {
  const there = pool.all().find((one) => one.name === name);
  if (!there) return;
  const away = pool.isOnline(there.host) ? '' : ', which is offline';
  throw new VsError('conflict', `there is a vserver ${name} already, on ${there.host}${away}${more}`);
}
