import { type Parts, conditions } from './conditions.ts';
import { type Firewall, type Rate, type Rule, defaultLogRate, icmp, icmpv6, impliedTypes } from './rule.ts';

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

const rate = ({ packets, unit, burst }: Rate, over = ''): string =>
  `limit rate ${over}${packets}/${unit} burst ${burst} packets`;
const logLine = (prefix: string, limit: Rate): string => `    ${rate(limit)} log prefix "${prefix}"\n`;

/** The lines of a rule in its base chain. With a rate or a log of its own it has a chain, so that all its lines share them. */
function statements(rule: Rule, firewall: Firewall, mark: string, parts: Parts, chains: string[]): string[] {
  const found = conditions(rule, parts);
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
  chains.push(
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
  const parts: Parts = { resolved, sets: [], named: new Map(), groups: new Map() };
  const chains: string[] = [];
  const lines = (direction: 'in' | 'out') =>
    firewall.rules
      .filter((rule) => rule.direction === direction)
      .flatMap((rule) => statements(rule, firewall, mark, parts, chains))
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
${ftp}${denied}${chains.join('')}  chain input {
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
