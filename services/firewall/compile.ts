import {
  type Interval,
  familyOf,
  intervalOf,
  intervalText,
  isEverything,
  mergeIntervals,
} from './addresses.ts';
import {
  type Address,
  type Firewall,
  type Match,
  type Rate,
  type Rule,
  defaultLogRate,
  icmp,
  icmpv6,
  impliedTypes,
  tcp,
  udp,
} from './rule.ts';

/**
 * What `firewall.open` fills for a time, so that a package manager comes to its mirrors: their elements end by themselves (nft(8),
 * sets with timeouts), also when nobody is left who closes.
 */
const openSets = `  set mirrors4 { type ipv4_addr . inet_service; flags timeout; }
  set mirrors6 { type ipv6_addr . inet_service; flags timeout; }
  set resolvers4 { type ipv4_addr; flags timeout; }
  set resolvers6 { type ipv6_addr; flags timeout; }`;
const openRules = `    ip daddr . tcp dport @mirrors4 accept
    ip6 daddr . tcp dport @mirrors6 accept
    ip daddr @resolvers4 meta l4proto { tcp, udp } th dport 53 accept
    ip6 daddr @resolvers6 meta l4proto { tcp, udp } th dport 53 accept`;

/** What the rules of one firewall share: chains of rules with a rate or a log, and sets of addresses. */
interface Parts {
  chains: string[];
  sets: string[];
  /** Elements of the sets that there are, and their names. */
  named: Map<string, string>;
  intervals: Map<Address[], { 4: Interval[]; 6: Interval[] }>;
}

/** The addresses of a rule, names resolved, overlaps merged. */
function intervalsOf(
  addresses: Address[],
  resolved: ReadonlyMap<string, string[]>,
): { 4: Interval[]; 6: Interval[] } {
  const found: { 4: Interval[]; 6: Interval[] } = { 4: [], 6: [] };
  for (const one of addresses) {
    if ('range' in one) found[one.family].push(intervalOf(one.family, one.range));
    else
      for (const address of resolved.get(one.name) ?? []) {
        const family = familyOf(address);
        if (family) found[family].push(intervalOf(family, address));
      }
  }
  return { 4: mergeIntervals(found[4]), 6: mergeIntervals(found[6]) };
}

const list = (values: (string | number)[]): string =>
  values.length === 1 ? String(values[0]) : `{ ${values.join(', ')} }`;

/** What must be true of the other side's address, for each family that the rule has; '' stands for all of both. */
function addressParts(
  rule: Rule,
  resolved: ReadonlyMap<string, string[]>,
  parts: Parts,
): { family?: 4 | 6; text: string }[] {
  const intervals = parts.intervals.get(rule.addresses) ?? intervalsOf(rule.addresses, resolved);
  parts.intervals.set(rule.addresses, intervals);
  const families = ([4, 6] as const).filter((family) => intervals[family].length > 0);
  const all = (family: 4 | 6) => intervals[family].some((one) => isEverything(family, one));
  if (families.length === 2 && families.every(all)) return [{ text: '' }];
  return families.map((family) => {
    if (all(family)) return { family, text: `meta nfproto ipv${family} ` };
    const elements = intervals[family].map((one) => intervalText(family, one));
    const field = `${family === 4 ? 'ip' : 'ip6'} ${rule.direction === 'in' ? 'saddr' : 'daddr'}`;
    if (elements.length <= 3) return { family, text: `${field} ${list(elements)} ` };
    const key = elements.join(', ');
    const name = parts.named.get(key) ?? `${rule.id}_${family}`;
    if (!parts.named.has(key)) {
      parts.named.set(key, name);
      parts.sets.push(`  set ${name} { type ipv${family}_addr; flags interval; elements = { ${key} }; }`);
    }
    return { family, text: `${field} @${name} ` };
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

function conditions(rule: Rule, resolved: ReadonlyMap<string, string[]>, parts: Parts): string[] {
  return addressParts(rule, resolved, parts).flatMap((address) => {
    if (rule.matches.length === 0) return [address.text];
    return rule.matches.flatMap((match) =>
      familiesOf(match, address.family).flatMap((one) => {
        const protocol = protocolPart(match, rule.portSide, one.family);
        return protocol === undefined ? [] : [`${address.text}${one.text}${protocol}`];
      }),
    );
  });
}

const rate = ({ packets, unit, burst }: Rate, over = ''): string =>
  `limit rate ${over}${packets}/${unit} burst ${burst} packets`;
const logLine = (prefix: string, limit: Rate): string => `    ${rate(limit)} log prefix "${prefix}"\n`;

function statements(
  rule: Rule,
  firewall: Firewall,
  resolved: ReadonlyMap<string, string[]>,
  mark: string,
  parts: Parts,
): string[] {
  const found = conditions(rule, resolved, parts);
  if (found.length === 0) return [];
  const helper = rule.helper && rule.verdict === 'accept' ? `ct helper set "${rule.helper}" ` : '';
  if (!rule.limit && !rule.log) {
    const end = rule.verdict === 'drop' && firewall.log ? 'goto denied' : rule.verdict;
    return found.map((one) => `    ${one}${helper}counter ${end} comment "${rule.id}"`);
  }
  const usual = rule.verdict === 'drop' ? (firewall.log?.prefix ?? 'vs-deny ') : 'vs-allow ';
  const limited = rule.limit ? `    ${rate(rule.limit, 'over ')} return\n` : '';
  const logged = rule.log
    ? logLine(mark + (rule.log.prefix ?? usual), firewall.log?.limit ?? defaultLogRate)
    : '';
  const end = rule.verdict === 'drop' && firewall.log && !rule.log ? 'goto denied' : rule.verdict;
  parts.chains.push(
    `  chain ${rule.id} {\n${limited}${logged}    ${helper}counter ${end} comment "${rule.id}"\n  }\n`,
  );
  return found.map((one) => `    ${one}jump ${rule.id}`);
}

/**
 * The rules inside the namespace of the vserver, as nftables text of one transaction; '' when not enabled. `resolved` holds the
 * addresses of host names: a name without any matches nothing. `mark` stands before every prefix of a log. Each rule counts with
 * its id as comment (a rule may be several lines), what no rule allows with "default".
 */
export function compile(
  firewall: Firewall,
  resolved: ReadonlyMap<string, string[]> = new Map(),
  mark = '',
): string {
  if (!firewall.enabled) return '';
  const parts: Parts = { chains: [], sets: [], named: new Map(), intervals: new Map() };
  const lines = (direction: 'in' | 'out') =>
    firewall.rules
      .filter((rule) => rule.direction === direction)
      .flatMap((rule) => statements(rule, firewall, resolved, mark, parts))
      .concat(`    counter ${firewall.log ? 'goto denied' : 'drop'} comment "default"`)
      .join('\n');
  const types = (number: number) => (impliedTypes[number] ?? []).join(', ');
  const common = `    ct state established,related counter accept comment "established"
    icmp type { ${types(icmp)} } counter accept comment "implied"
    icmpv6 type { ${types(icmpv6)} } counter accept comment "implied"`;
  const [incoming, outgoing] = [lines('in'), lines('out')];
  const ftp = firewall.rules.some((rule) => rule.helper === 'ftp')
    ? '  ct helper ftp { type "ftp" protocol tcp; }\n'
    : '';
  const denied = firewall.log
    ? `  chain denied {\n${logLine(mark + firewall.log.prefix, firewall.log.limit)}    drop\n  }\n`
    : '';
  return `table inet vs
delete table inet vs
table inet vs {
${[openSets, ...parts.sets].join('\n')}
${ftp}${denied}${parts.chains.join('')}  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
${common}
${incoming}
  }
  chain output {
    type filter hook output priority 0; policy drop;
    oif lo accept
${common}
${openRules}
${outgoing}
  }
}
`;
}
