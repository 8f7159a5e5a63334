import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { canonical6 } from '../shared/addresses.ts';

/** Ranges that no vserver can be in: loopback, multicast, link-local, and IPv4 within IPv6. */
const SPECIAL = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/8', 'fe80::/10', 'ff00::/8'];

const split = (subnet: string): [string, number] => {
  const [net = '', prefix = ''] = subnet.split('/');
  return [net, Number(prefix)];
};
/** An address as a number, and how many bits it has. */
function numberOf(address: string): { value: bigint; bits: number } {
  if (isIPv4(address))
    return { value: address.split('.').reduce((all, byte) => all * 256n + BigInt(byte), 0n), bits: 32 };
  const [head = '', tail] = canonical6(address).split('::');
  const [high, low] = [head, tail ?? ''].map((part) => part.split(':').filter(Boolean));
  const zeros = Array<string>(8 - (high?.length ?? 0) - (low?.length ?? 0)).fill('0');
  const words = [...(high ?? []), ...zeros, ...(low ?? [])];
  return { value: words.reduce((all, word) => all * 65_536n + BigInt(`0x${word}`), 0n), bits: 128 };
}
function textOf(value: bigint, bits: number): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((by) => (value >> by) & 255n).join('.');
  const words = Array.from({ length: 8 }, (_, at) =>
    ((value >> BigInt(112 - 16 * at)) & 65_535n).toString(16),
  );
  return canonical6(words.join(':'));
}
/** The first address of a subnet, and how many it has. */
function rangeOf(subnet: string): { first: bigint; size: bigint; bits: number } {
  const [net, prefix] = split(subnet);
  const { value, bits } = numberOf(net);
  const size = 1n << BigInt(bits - prefix);
  return { first: value - (value % size), size, bits };
}

/** May a machine have this address of a subnet? Not the first one, nor the last one of IPv4 (RFC 922, RFC 4291), but in the smallest. */
export function isHostAddress(subnet: string, address: string): boolean {
  const { first, size, bits } = rangeOf(subnet);
  const { value } = numberOf(address);
  return size <= 2n || (value !== first && (bits === 128 || value !== first + size - 1n));
}

/** Is the address in the subnet (both IPv4, or both IPv6)? */
export function inSubnet(subnet: string, address: string): boolean {
  const [net, prefix] = split(subnet);
  const family = isIPv4(net) ? 'ipv4' : 'ipv6';
  if (family === 'ipv4' ? !isIPv4(address) : !isIPv6(address)) return false;
  const list = new BlockList();
  list.addSubnet(net, prefix, family);
  return list.check(address, family);
}

export const overlap = (a: string, b: string): boolean =>
  inSubnet(a, split(b)[0]) || inSubnet(b, split(a)[0]);

/** Why it cannot be the subnet of a network; undefined when it can. */
export function subnetFault(subnet: string): string | undefined {
  const [net, prefix] = split(subnet);
  if (prefix < 8) return `${subnet} is larger than a /8; expected a smaller one`;
  const special = SPECIAL.find((one) => overlap(one, subnet));
  if (special) return `${subnet} lies in ${special}, which is for no vserver; expected a subnet of machines`;
  const { first, bits } = rangeOf(subnet);
  return numberOf(net).value === first
    ? undefined
    : `${subnet} is an address in a subnet; expected the subnet itself, ${textOf(first, bits)}/${prefix}`;
}

/** Why it cannot be the gateway of a subnet; undefined when it can. */
export function gatewayFault(subnet: string | undefined, gateway: string): string | undefined {
  if (subnet === undefined || !inSubnet(subnet, gateway))
    return `gateway ${gateway} is not in ${subnet ?? 'any subnet of this network'}; expected an address of its subnet`;
  return isHostAddress(subnet, gateway)
    ? undefined
    : `gateway ${gateway} is the first or the last address of ${subnet}, which no machine has; expected another one`;
}
