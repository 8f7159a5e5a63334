import type { Network } from '../shared/contract/network.ts';
import type { HostNetworking } from '../shared/contract/networks.ts';
import { uplinkFault } from './network-parse.ts';
import { uplinkConflict } from './networks.ts';

/**
 * A network as one host has it: the uplink that slaves.conf says for that network and host, else that of the network, else,
 * for one that may be tagged, that of the host; the MTU is the least of network (`mtu` where it says none) and host.
 */
export function onHost(network: Network, host: HostNetworking | undefined, mtu?: number): Network {
  const own = host?.uplinks?.[network.name];
  const uplink = own ?? network.uplink ?? (network.tagged ? host?.uplink : undefined);
  const wanted = network.mtu ?? mtu;
  const most = host?.mtu ?? Infinity;
  const least = wanted === undefined ? host?.mtu : Math.min(wanted, most);
  return {
    ...network,
    uplink: uplink === 'none' ? undefined : uplink,
    ...(least === undefined ? {} : { mtu: least }),
  };
}

/** All networks as one host has them. */
export const networksOnHost = (networks: Network[], host: HostNetworking | undefined, mtu?: number) =>
  networks.map((one) => onHost(one, host, mtu));

/** What is wrong with the networks on a host; [] when nothing is. */
export function faultsOnHost(host: string, networks: Network[], own: HostNetworking | undefined): string[] {
  const here = networksOnHost(networks, own);
  const faults = Object.keys(own?.uplinks ?? {})
    .filter((name) => !networks.some((one) => one.name === name))
    .map((name) => `uplink.${name}: networks.conf has no network ${name}`);
  for (const [index, one] of here.entries()) {
    const conflict = here
      .slice(0, index)
      .map((other) => uplinkConflict(one, other))
      .find(Boolean);
    const fault = one.uplink && one.tagged ? uplinkFault(one.uplink, one.vlan) : undefined;
    if (conflict ?? fault) faults.push(`${one.name}: ${conflict ?? fault}`);
  }
  return faults.map((fault) => `slaves.conf, ${host}: ${fault}`);
}
