import { randomBytes } from 'node:crypto';
import type { Network } from '../shared/contract/network.ts';
import { type FurtherAddress, MOST_FURTHER, type VserverConfig } from '../shared/contract/vserver.ts';
import { VsError } from '../shared/errors.ts';
import { addressesOf } from '../shared/interfaces.ts';
import { inSubnet, isHostAddress } from './subnets.ts';

/** A random locally administered unicast MAC. */
export const randomMac = (): string =>
  `02:${[...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

/** What a person asks for: one address, or an IPv4 and an IPv6 one of the same network. */
export interface WantedAddress {
  address?: string | undefined;
  prefix?: number | undefined;
  address6?: string | undefined;
}

/** Refuses addresses that nobody may have in a network: of another one, the gateway's, the first and the last. */
export function requireUsable(network: Network, { address, address6 }: WantedAddress): void {
  const { name, subnet, subnet6, gateway, gateway6 } = network;
  for (const one of [address, address6])
    if (one !== undefined && (one === gateway || one === gateway6))
      throw new VsError('refused', `${one} is the gateway of network ${name}`);
  for (const [one, net, family] of [
    [address, subnet, 'IPv4'],
    [address6, subnet6, 'IPv6'],
  ] as const) {
    if (one === undefined) continue;
    if (net === undefined || !inSubnet(net, one))
      throw new VsError('refused', `${one} is not in network ${name} (${net ?? `it has no ${family}`})`);
    if (!isHostAddress(net, one))
      throw new VsError('refused', `${one} is the network or broadcast address of ${name} (${net})`);
  }
}

/** What vserver.json says of one more address; in a network that the vserver was not in, with a new MAC. Throws 'refused'. */
export function furtherOf(
  network: Network,
  wanted: WantedAddress,
  vserver: Pick<VserverConfig, 'name' | 'network' | 'address' | 'address6' | 'more'>,
): FurtherAddress {
  const { name, more = [] } = vserver;
  requireUsable(network, wanted);
  const { address, prefix, address6 } = wanted;
  const twice = addressesOf(vserver).find((one) => one === address || one === address6);
  if (twice !== undefined) throw new VsError('refused', `${name} has ${twice} already`);
  if (more.length >= MOST_FURTHER)
    throw new VsError('refused', `${name} has ${MOST_FURTHER} further addresses, and that is the most`);
  const known = more.find((one) => one.network === network.name)?.mac;
  return {
    network: network.name,
    ...(address === undefined
      ? {}
      : { address, prefix: prefix ?? Number(network.subnet?.split('/')[1] ?? 24) }),
    ...(address6 === undefined ? {} : { address6, prefix6: Number(network.subnet6?.split('/')[1] ?? 64) }),
    ...(network.name === vserver.network ? {} : { mac: known ?? randomMac() }),
  };
}
