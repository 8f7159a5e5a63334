import { VsError } from '../../shared/errors.ts';
import { familyOf, intervalOf, numberOf } from './addresses.ts';
import { type Address, type Firewall, type Rule, icmp, icmpv6, impliedTypes, tcp, udp } from './rule.ts';

/** A packet as the vserver sees it. */
export interface Packet {
  direction: 'in' | 'out';
  protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | number;
  source: string;
  destination: string;
  sourcePort?: number;
  destinationPort?: number;
  /** Of ICMP; an echo request when nothing is said. */
  icmpType?: number;
  /** Of the connection; new when nothing is said. */
  state?: 'new' | 'established' | 'related';
}
export interface Decision {
  verdict: 'accept' | 'drop';
  /** The rule that decides. */
  rule?: Rule;
  /** A sentence. */
  why: string;
}
const numbers = { tcp, udp, icmp, icmpv6 };

function isIn(
  addresses: Address[],
  resolved: ReadonlyMap<string, string[]>,
  family: 4 | 6,
  value: bigint,
): boolean {
  const within = (range: string) => {
    const [low, high] = intervalOf(family, range);
    return low <= value && value <= high;
  };
  return addresses.some((one) =>
    'range' in one
      ? one.family === family && within(one.range)
      : (resolved.get(one.name) ?? []).some((address) => familyOf(address) === family && within(address)),
  );
}

function fitsProtocol(rule: Rule, packet: Packet, number: number, type: number): boolean {
  const port = rule.portSide === 'from' ? packet.sourcePort : packet.destinationPort;
  return (
    rule.matches.length === 0 ||
    rule.matches.some(
      ({ protocols, ports, types }) =>
        protocols.includes(number) &&
        (!types || types.includes(type)) &&
        (!ports || (port !== undefined && ports.some(([low, high]) => low <= port && port <= high))),
    )
  );
}

/** What a vserver sends to itself. */
export const isLoopback = ({ source, destination }: Packet): boolean =>
  numberOf(source) === numberOf(destination) || destination === '::1' || destination.startsWith('127.');

/** What the compiled rules do with a packet, and why. Throws VsError 'usage' for a packet that cannot be. */
export function evaluate(
  firewall: Firewall,
  resolved: ReadonlyMap<string, string[]>,
  packet: Packet,
): Decision {
  const [from, to] = [familyOf(packet.source), familyOf(packet.destination)];
  if (!from || !to || from !== to)
    throw new VsError(
      'usage',
      `A packet from ${packet.source} to ${packet.destination} cannot be: two addresses of one family are needed`,
    );
  const number = typeof packet.protocol === 'number' ? packet.protocol : numbers[packet.protocol];
  if ((number === icmp && from === 6) || (number === icmpv6 && from === 4))
    throw new VsError(
      'usage',
      `A packet of ${number === icmp ? 'icmp' : 'icmpv6'} has no IPv${from} addresses`,
    );
  const type = packet.icmpType ?? (number === icmp ? 8 : 128);
  if (!firewall.enabled) return { verdict: 'accept', why: 'the firewall is not enabled: everything passes' };
  const [source, destination] = [numberOf(packet.source), numberOf(packet.destination)];
  if (isLoopback(packet)) return { verdict: 'accept', why: 'the vserver may always talk to itself' };
  if (packet.state === 'established' || packet.state === 'related')
    return {
      verdict: 'accept',
      why:
        packet.state === 'related'
          ? 'what belongs to open connections always passes'
          : 'answers of open connections always pass',
    };
  if (impliedTypes[number]?.includes(type))
    return {
      verdict: 'accept',
      why:
        number === icmp || type === 128 || type === 129
          ? 'ping always passes'
          : 'the search for neighbours and routers always passes',
    };
  const peer = packet.direction === 'in' ? source : destination;
  const index = firewall.rules.findIndex(
    (rule) =>
      rule.direction === packet.direction &&
      fitsProtocol(rule, packet, number, type) &&
      isIn(rule.addresses, resolved, from, peer),
  );
  const rule = firewall.rules[index];
  if (!rule) return { verdict: 'drop', why: 'no rule matches and the firewall is enabled' };
  const { packets, unit } = rule.limit ?? {};
  const rate = rule.limit ? `, while no more than ${packets} come in a ${unit}` : '';
  return {
    verdict: rule.verdict,
    rule,
    why: `rule ${index + 1} (${rule.at.file}:${rule.at.line}) ${rule.verdict === 'accept' ? 'allows' : 'denies'} it${rate}`,
  };
}
