import type { Network } from '../../shared/contract/network.ts';
import type { Link } from './ip.ts';

export const bridgeOf = (network: Network): string => `vsbr${network.vlan}`;
export const trunkOf = (network: Network): string | undefined =>
  network.uplink && (network.tagged ? `${network.uplink}.${network.vlan}` : network.uplink);

export type Step =
  | { do: 'uplink'; device: string; mtu: number; raise: boolean }
  | { do: 'vlan'; device: string; uplink: string; vlan: number }
  | { do: 'bridge'; device: string }
  | { do: 'guard'; device: string; mtu: number; ready: boolean }
  | { do: 'port'; device: string; bridge: string; mtu: number };

/** What brings a network up, whatever is there of it. An uplink that does not exist is no step: the caller refuses. */
export function planUp(network: Network, links: Map<string, Link>, mtu: number): Step[] {
  const steps: Step[] = [];
  const bridge = bridgeOf(network);
  const trunk = trunkOf(network);
  if (!links.has(bridge)) steps.push({ do: 'bridge', device: bridge });
  const ready = (one: Link | undefined) => one?.mtu === mtu && one.flags.includes('UP');
  // always: a crash, or a flush of all rules, may have left a bridge without its guard
  steps.push({ do: 'guard', device: bridge, mtu, ready: ready(links.get(bridge)) });
  const uplink = network.tagged && network.uplink ? links.get(network.uplink) : undefined;
  if (uplink && (uplink.mtu < mtu || !uplink.flags.includes('UP')))
    steps.push({ do: 'uplink', device: uplink.ifname, mtu, raise: uplink.mtu < mtu });
  if (trunk && network.tagged && network.uplink && !links.has(trunk))
    steps.push({ do: 'vlan', device: trunk, uplink: network.uplink, vlan: network.vlan });
  const port = trunk ? links.get(trunk) : undefined;
  if (trunk && (!ready(port) || port?.master !== bridge))
    steps.push({ do: 'port', device: trunk, bridge, mtu });
  return steps;
}

/** Why the uplink of an untagged network cannot be a port of its bridge; `addresses`: what the host itself has on it. */
export function cannotJoin(
  network: Network,
  links: Map<string, Link>,
  addresses: string[],
): string | undefined {
  const { name, uplink } = network;
  const link = uplink === undefined || network.tagged ? undefined : links.get(uplink);
  if (!link || link.master === bridgeOf(network)) return undefined;
  if (link.master !== undefined)
    return `network ${name}: ${uplink} belongs to ${link.master} on this host; take another device (uplink= of networks.conf or slaves.conf)`;
  return addresses.length === 0
    ? undefined
    : `network ${name}: ${uplink} has the address ${addresses.join(', ')} of this host, which it would lose as the uplink of an untagged network; take a tag (no "untagged"), or another device`;
}

/** The ports of a bridge that belong to vservers. */
export const usersOf = (network: Network, links: Map<string, Link>): string[] =>
  [...links.values()]
    .filter((one) => one.master === bridgeOf(network) && one.ifname !== trunkOf(network))
    .map((one) => one.ifname);
