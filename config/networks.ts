import type { Network } from '../shared/contract/network.ts';
import { faulty, parseLines, readOptional } from './lines.ts';
import { parseNetwork } from './network-parse.ts';
import type { Settings } from './settings.ts';
import { inSubnet, overlap } from './subnets.ts';

/** Why two networks cannot be in one pool, and by which of their values. */
function conflictBetween(one: Network, other: Network): { key: keyof Network; message: string } | undefined {
  if (one.vlan === other.vlan)
    return {
      key: 'vlan',
      message: `VLAN ${one.vlan} is network ${other.name} already; expected another one`,
    };
  if (one.name === other.name)
    return {
      key: 'name',
      message: `the name ${one.name} is taken by VLAN ${other.vlan}; expected another one`,
    };
  for (const key of ['subnet', 'subnet6'] as const) {
    const [mine, theirs] = [one[key], other[key]];
    if (mine && theirs && overlap(mine, theirs))
      return {
        key,
        message: `${mine} overlaps ${theirs} of ${other.name}; expected a subnet that no other network has`,
      };
  }
  const message = uplinkConflict(one, other);
  return message ? { key: 'uplink', message } : undefined;
}
/** Why two networks cannot be in one pool; undefined when they can. */
export const conflictOf = (one: Network, other: Network): string | undefined =>
  conflictBetween(one, other)?.message;

/** Why two networks cannot be on one host; undefined when they can. */
export const uplinkConflict = (one: Network, other: Network): string | undefined =>
  one.uplink && one.uplink === other.uplink && !(one.tagged && other.tagged)
    ? `uplink ${one.uplink} carries ${other.name} already; two networks on one device must both be tagged`
    : undefined;

/** Parses the text of networks.conf. Throws VsError 'usage' with every fault, by file, line and column. */
export function parseNetworks(text: string, file: string): Network[] {
  return parseLines<Network>(text, file, (line, before) => {
    const { network, at } = parseNetwork(line);
    for (const other of before) {
      const conflict = conflictBetween(network, other);
      if (conflict) throw faulty({ at: at(conflict.key), message: conflict.message });
    }
    return network;
  });
}

/** The networks of CONFIG_DIR/networks.conf; none when there is no such file. */
export async function loadNetworks(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<Network[]> {
  const file = `${settings.CONFIG_DIR}/networks.conf`;
  return parseNetworks(await readOptional(file), file);
}

/** The network that an address lies in. */
export const networkOf = (networks: Network[], address: string): Network | undefined =>
  networks.find((one) => subnetsOf(one).some((subnet) => inSubnet(subnet, address)));

/** Its subnets: IPv4, IPv6 or both. */
export const subnetsOf = ({ subnet, subnet6 }: Pick<Network, 'subnet' | 'subnet6'>): string[] =>
  [subnet, subnet6].filter((one) => one !== undefined);
