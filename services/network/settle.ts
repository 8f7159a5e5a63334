import { conflictOf } from '../../config/networks.ts';
import type { Network } from '../../shared/contract/network.ts';

/** What a host has now, what it takes down, and what it cannot change yet and for whom. */
export interface Settled {
  networks: Network[];
  leaving: Network[];
  held: { network: string; vservers: string[] }[];
}

/** Is it the same bridge on the same wire? */
export const sameWire = (one: Network, other: Network): boolean =>
  one.vlan === other.vlan && one.tagged === other.tagged && one.uplink === other.uplink;

/**
 * Which networks a host has, from those it had and those it shall have: one that vservers are on stays as it is when it would
 * go, come through another device, or take smaller packets; and what cannot be beside such a one waits. `users`: of a network.
 */
export function settle(before: Network[], wanted: Network[], users: (network: Network) => string[]): Settled {
  const held: Settled['held'] = [];
  const stay: Network[] = [];
  const leaving: Network[] = [];
  for (const old of before) {
    const next = wanted.find((one) => one.name === old.name);
    const vservers = users(old);
    const shrinks = next?.mtu !== undefined && next.mtu < (old.mtu ?? Infinity);
    if (vservers.length > 0 && (!next || !sameWire(old, next) || shrinks)) {
      stay.push(old);
      held.push({ network: old.name, vservers });
    } else if (!next || !sameWire(old, next)) leaving.push(old);
  }
  const networks = [...stay];
  for (const one of wanted) {
    if (stay.some((other) => other.name === one.name)) continue;
    const way = stay.find((other) => conflictOf(one, other));
    if (way) held.push({ network: one.name, vservers: users(way) });
    else networks.push(one);
  }
  return { networks, leaving, held };
}
