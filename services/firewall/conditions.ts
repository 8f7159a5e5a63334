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
}
type Groups = Record<4 | 6, Group>;
/** What the rules of one firewall share. */
export interface Parts {
  /** The addresses of host names. */
  resolved: ReadonlyMap<string, string[]>;
  /** The sets that there are: their names by type and elements. */
  sets: Map<string, string>;
  /** By the addresses of a rule, which rules with the same set share. */
  groups: Map<Address[], Groups>;
}
/** What a packet must be to match: one of these addresses of a family and one of these protocols. */
export interface Condition {
  family?: 4 | 6;
  addresses: string[];
  protocols: string[];
}

/**
 * Lists up to this long become lines, not sets. The kernel's time for a transaction grows with the square of its sets (also of the
 * unnamed ones of `{ 80, 443 }`): 5000 of them took it 6 s, 25 000 six minutes, 20 000 lines without any 2 s.
 */
const mostLines = 3;
/** When there are so many sets, only lists longer than `longList` become sets. */
const manySets = 256;
const longList = 64;

/** What a field must be, once for each line that it takes. */
function alternatives(field: string, type: string, elements: string[], parts: Parts): string[] {
  const key = `type ${type}; flags interval; elements = { ${elements.join(', ')} };`;
  const known = parts.sets.get(key);
  const asLines = elements.length <= (parts.sets.size < manySets ? mostLines : longList);
  if (asLines && !known) return elements.map((one) => `${field} ${one} `);
  const name = known ?? `s${parts.sets.size + 1}`;
  parts.sets.set(key, name);
  return [`${field} @${name} `];
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

/** What must be true of the other side's address, for each family that the rule has; no family stands for all of both. */
function addressParts(rule: Rule, parts: Parts): { family?: 4 | 6; addresses: string[] }[] {
  const groups = parts.groups.get(rule.addresses) ?? groupsOf(rule.addresses, parts.resolved);
  parts.groups.set(rule.addresses, groups);
  if (groups[4].everything && groups[6].everything) return [{ addresses: [''] }];
  const families = ([4, 6] as const).filter((family) => groups[family].elements.length > 0);
  return families.map((family) => {
    const { everything, elements } = groups[family];
    if (everything) return { family, addresses: [`meta nfproto ipv${family} `] };
    const field = `${family === 4 ? 'ip' : 'ip6'} ${rule.direction === 'in' ? 'saddr' : 'daddr'}`;
    return { family, addresses: alternatives(field, `ipv${family}_addr`, elements, parts) };
  });
}

function mergePorts(ports: [number, number][]): [number, number][] {
  const merged: [number, number][] = [];
  for (const [low, high] of ports.toSorted(([one], [other]) => one - other)) {
    const last = merged.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else merged.push([low, high]);
  }
  return merged;
}

/** What must be true of the protocol; ICMP without the family of a rule names its own, or it would match in both. */
function protocolParts(match: Match, rule: Rule, family: 4 | 6 | undefined, parts: Parts): string[] {
  return [...new Set(match.protocols)].flatMap((number) => {
    const own = number === icmp ? 4 : number === icmpv6 ? 6 : undefined;
    if (own && family && own !== family) return [];
    if (match.types && own) {
      const types = [...new Set(match.types)].map(String);
      return types.map((type) => `${own === 4 ? 'icmp' : 'icmpv6'} type ${type} `);
    }
    if (!match.ports || (number !== tcp && number !== udp))
      return [`${own && !family ? `meta nfproto ipv${own} ` : ''}meta l4proto ${number} `];
    const ranges = mergePorts(match.ports).map(([low, high]) =>
      low === high ? String(low) : `${low}-${high}`,
    );
    const field = `${number === tcp ? 'tcp' : 'udp'} ${rule.portSide === 'from' ? 'sport' : 'dport'}`;
    return alternatives(field, 'inet_service', ranges, parts);
  });
}

/** What a packet must be to match a rule, by family, in the words of nft; nothing when it cannot match. */
export function conditions(rule: Rule, parts: Parts): Condition[] {
  return addressParts(rule, parts)
    .map(({ family, addresses }) => ({
      ...(family ? { family } : {}),
      addresses,
      protocols:
        rule.matches.length === 0
          ? ['']
          : rule.matches.flatMap((match) => protocolParts(match, rule, family, parts)),
    }))
    .filter(({ protocols }) => protocols.length > 0);
}
