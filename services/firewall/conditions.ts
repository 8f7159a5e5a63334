import {
  type Interval,
  familyOf,
  intervalOf,
  intervalText,
  isEverything,
  mergeIntervals,
} from './addresses.ts';
import { type Address, type Match, type Rule, icmp, icmpv6, tcp, udp } from './rule.ts';

/** The addresses of a rule in one family, in the words of nft. */
interface Group {
  everything: boolean;
  elements: string[];
  /** The set that holds them when they are many. */
  set?: string;
}
type Groups = Record<4 | 6, Group>;
/** What the rules of one firewall share: sets of addresses. */
export interface Parts {
  /** The addresses of host names. */
  resolved: ReadonlyMap<string, string[]>;
  sets: string[];
  /** The names of the sets that there are, by their elements. */
  named: Map<string, string>;
  /** By the addresses of a rule, which rules with the same set share. */
  groups: Map<Address[], Groups>;
}

/** The addresses of a rule, names resolved, overlaps merged: nft refuses a set with overlaps. */
function groupsOf(addresses: Address[], resolved: ReadonlyMap<string, string[]>): Groups {
  const found: { 4: Interval[]; 6: Interval[] } = { 4: [], 6: [] };
  for (const one of addresses) {
    if ('range' in one) found[one.family].push(intervalOf(one.family, one.range));
    else
      for (const address of resolved.get(one.name) ?? []) {
        const family = familyOf(address);
        if (family) found[family].push(intervalOf(family, address));
      }
  }
  const group = (family: 4 | 6): Group => {
    const merged = mergeIntervals(found[family]);
    return {
      everything: merged.some((one) => isEverything(family, one)),
      elements: merged.map((one) => intervalText(family, one)),
    };
  };
  return { 4: group(4), 6: group(6) };
}

const list = (values: (string | number)[]): string =>
  values.length === 1 ? String(values[0]) : `{ ${values.join(', ')} }`;

/** The set of these addresses; it is made when no rule before has the same. */
function setOf(group: Group, family: 4 | 6, id: string, parts: Parts): string {
  if (group.set) return group.set;
  const key = group.elements.join(', ');
  const name = parts.named.get(key) ?? `${id}_${family}`;
  if (!parts.named.has(key))
    parts.sets.push(`  set ${name} { type ipv${family}_addr; flags interval; elements = { ${key} }; }`);
  parts.named.set(key, name);
  group.set = name;
  return name;
}

/** What must be true of the other side's address, for each family that the rule has; '' stands for all of both. */
function addressParts(rule: Rule, parts: Parts): { family?: 4 | 6; text: string }[] {
  const groups = parts.groups.get(rule.addresses) ?? groupsOf(rule.addresses, parts.resolved);
  parts.groups.set(rule.addresses, groups);
  if (groups[4].everything && groups[6].everything) return [{ text: '' }];
  const families = ([4, 6] as const).filter((family) => groups[family].elements.length > 0);
  return families.map((family) => {
    const group = groups[family];
    if (group.everything) return { family, text: `meta nfproto ipv${family} ` };
    const field = `${family === 4 ? 'ip' : 'ip6'} ${rule.direction === 'in' ? 'saddr' : 'daddr'}`;
    const { elements } = group;
    const value = elements.length <= 3 ? list(elements) : `@${setOf(group, family, rule.id, parts)}`;
    return { family, text: `${field} ${value} ` };
  });
}

/** What must be true of the protocol in a family; undefined when it does not exist there. */
function protocolPart(match: Match, side: 'from' | 'to', family: 4 | 6 | undefined): string | undefined {
  const { protocols, ports, types } = match;
  const [first = -1] = protocols;
  const fits = (number: number) =>
    family === undefined || (number === icmp ? family === 4 : number !== icmpv6 || family === 6);
  if (types) {
    if (!fits(first)) return undefined;
    return `${first === icmp ? 'icmp' : 'icmpv6'} type ${list([...new Set(types)])} `;
  }
  const numbers = protocols.filter(fits);
  if (numbers.length === 0) return undefined;
  if (!ports) return `meta l4proto ${list(numbers)} `;
  const ranges = mergePorts(ports).map(([low, high]) => (low === high ? String(low) : `${low}-${high}`));
  const field = `${side === 'from' ? 'sport' : 'dport'} ${list(ranges)} `;
  if (numbers.length === 1)
    return `${numbers[0] === tcp ? 'tcp' : numbers[0] === udp ? 'udp' : 'th'} ${field}`;
  return `meta l4proto ${list(numbers)} th ${field}`;
}
const mergePorts = (ports: [number, number][]) =>
  mergeIntervals(ports.map(([low, high]) => [BigInt(low), BigInt(high)]));

/** ICMP of a family without a family in the rule would also match in the other. */
function familiesOf(match: Match, family: 4 | 6 | undefined): { family?: 4 | 6; text: string }[] {
  const own = match.protocols.some((number) => number === icmp || number === icmpv6) && !match.types;
  if (family || !own) return [{ ...(family ? { family } : {}), text: '' }];
  return ([4, 6] as const).map((one) => ({ family: one, text: `meta nfproto ipv${one} ` }));
}

/** What a packet must be to match a rule, in the words of nft: one text for each family and kind of protocol; none when it cannot match. */
export function conditions(rule: Rule, parts: Parts): string[] {
  return addressParts(rule, parts).flatMap((address) => {
    if (rule.matches.length === 0) return [address.text];
    return rule.matches.flatMap((match) =>
      familiesOf(match, address.family).flatMap((one) => {
        const protocol = protocolPart(match, rule.portSide, one.family);
        return protocol === undefined ? [] : [`${address.text}${one.text}${protocol}`];
      }),
    );
  });
}
