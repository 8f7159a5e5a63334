import { randomBytes } from 'node:crypto';
import { inSubnet, isHostAddress } from '../../../config/networks.ts';
import type { Network } from '../../../shared/contract/network.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Pool } from '../pool.ts';

/** A random locally administered unicast MAC. */
export const randomMac = (): string =>
  `02:${[...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

/** The IPv6 address that goes with an IPv4 one: the network's prefix and the last bytes as people write them (10.60.10.5 -> fd60:10::5). */
function derive6(network: Network, address: string): string | undefined {
  if (!network.subnet6) return undefined;
  const [prefix = ''] = network.subnet6.split('/');
  const bytes = address.split('.');
  const host = Number(network.subnet.split('/')[1]) >= 24 ? bytes.slice(3) : bytes.slice(2);
  return prefix.endsWith('::') ? `${prefix}${host.join(':')}` : undefined;
}

/** Addresses that a new vserver asks for; address6 by itself from the network's prefix. */
interface Wanted {
  address: string;
  address6?: string | undefined;
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
  for (const address of [wanted.address, wanted.address6])
    if (address && (address === network.gateway || address === network.gateway6))
      throw new VsError('refused', `${address} is the gateway of network ${network.name}`);
  if (!isHostAddress(network.subnet, wanted.address))
    throw new VsError(
      'refused',
      `${wanted.address} is the network or broadcast address of ${network.name} (${network.subnet})`,
    );
  const taken = pool.all().find((one) => one.address === wanted.address);
  if (taken) throw new VsError('refused', `${wanted.address} belongs to ${taken.name} on ${taken.host}`);
  if (wanted.address6 && !(network.subnet6 && inSubnet(network.subnet6, wanted.address6)))
    throw new VsError(
      'refused',
      `${wanted.address6} is not in network ${network.name} (${network.subnet6 ?? 'it has no IPv6'})`,
    );
  const address6 = wanted.address6 ?? derive6(network, wanted.address);
  const taken6 = address6 && pool.all().find((one) => one.address6 === address6);
  if (taken6) throw new VsError('refused', `${address6} belongs to ${taken6.name} on ${taken6.host}`);
  return address6;
}

/** What vserver.json says of a place in a network. */
export const placeIn = (
  network: Network,
  address: string,
  address6: string | undefined,
  prefix?: number,
) => ({
  network: network.name,
  address,
  prefix: prefix ?? Number(network.subnet.split('/')[1]),
  ...(address6 ? { address6, prefix6: Number(network.subnet6?.split('/')[1] ?? 64) } : {}),
});

/** Nobody of the pool has this name, also not on a host that is offline. Throws 'conflict'. */
export function requireFree(pool: Pick<Pool, 'all' | 'isOnline'>, name: string, more = ''): void {
  const there = pool.all().find((one) => one.name === name);
  if (!there) return;
  const away = pool.isOnline(there.host) ? '' : ', which is offline';
  throw new VsError('conflict', `there is a vserver ${name} already, on ${there.host}${away}${more}`);
}
