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
const logLine = (prefix: string, limit: Rate): string => `    ${rate(limit)} log prefix "${prefix}"`;

interface Output extends Parts {
  chains: string[];
}
/** Lines with what stands before and what they do. */
const block = (name: string, lines: string[]) => `  chain ${name} {\n${lines.join('\n')}\n  }\n`;

/** What a rule does with a packet that matches. With a rate or a log it has a chain, so that all its lines share them. */
function effect(rule: Rule, firewall: Firewall, mark: string, output: Output): string {
  const helper = rule.helper && rule.verdict === 'accept' ? `ct helper set "${rule.helper}" ` : '';
  const denied = rule.verdict === 'drop' && firewall.log && !rule.log;
  const verdict = `${helper}counter ${denied ? 'goto denied' : rule.verdict} comment "${rule.id}"`;
  if (!rule.limit && !rule.log) return verdict;
  const usual = rule.verdict === 'drop' ? (firewall.log?.prefix ?? 'vs-deny ') : 'vs-allow ';
  const lines = [
    ...(rule.limit ? [`    ${rate(rule.limit, 'over ')} return`] : []),
    ...(rule.log ? [logLine(mark + (rule.log.prefix ?? usual), firewall.log?.limit ?? defaultLogRate)] : []),
    `    ${verdict}`,
  ];
  output.chains.push(block(rule.id, lines));
  return `jump ${rule.id}`;
}

/** The lines of a rule in its base chain: addresses times protocols, or when that is much, the protocols in a chain of their own. */
function statements(rule: Rule, firewall: Firewall, mark: string, output: Output): string[] {
  const found = conditions(rule, output);
  if (found.length === 0) return [];
  const then = effect(rule, firewall, mark, output);
  const chains = new Map<string, string>();
  return found.flatMap(({ addresses, protocols }) => {
    const times = addresses.length * protocols.length;
    if (times <= 4 || addresses.length === 1 || protocols.length === 1)
      return addresses.flatMap((address) => protocols.map((one) => `    ${address}${one}${then}`));
    const lines = protocols.map((one) => `    ${one}${then}`);
    const chain = chains.get(lines.join()) ?? `${rule.id}_${chains.size + 1}`;
    if (!chains.has(lines.join())) output.chains.push(block(chain, lines));
    chains.set(lines.join(), chain);
    return addresses.map((address) => `    ${address}jump ${chain}`);
  });
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
  const output: Output = { resolved, sets: new Map(), groups: new Map(), chains: [] };
  const lines = (direction: 'in' | 'out') =>
    firewall.rules
      .filter((rule) => rule.direction === direction)
      .flatMap((rule) => statements(rule, firewall, mark, output))
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
    ? block('denied', [logLine(mark + firewall.log.prefix, firewall.log.limit), '    drop'])
    : '';
  const sets = [...output.sets].map(([what, name]) => `  set ${name} { ${what} }`);
  return `table inet vs
delete table inet vs
table inet vs {
${[openSets, ...sets].join('\n')}
${ftp}${denied}${output.chains.join('')}  chain input {
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
