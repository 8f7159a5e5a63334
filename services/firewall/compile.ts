import { isIPv4, isIPv6 } from 'node:net';
import { VsError } from '../../shared/errors.ts';

/** One rule of firewall.conf: `allow|deny from|to addr,addr [from|to] tcp|udp/port,...`; the first match decides. */
interface Rule {
  verdict: 'accept' | 'drop';
  direction: 'from' | 'to';
  addresses: string[];
  protocol?: 'tcp' | 'udp';
  /** Ports of the vserver (`to` for incoming) or of the other side. */
  portSide?: 'from' | 'to';
  ports?: string[];
}
export interface Firewall {
  enabled: boolean;
  log: boolean;
  rules: Rule[];
}

function parseAddress(text: string): string {
  if (text === '0/0') return '0.0.0.0/0';
  const [host = '', prefix] = text.split('/');
  const most = isIPv4(host) ? 32 : isIPv6(host) ? 128 : -1;
  if (most < 0) throw new Error(`${text} is no address; expected 192.0.2.0/24, 2001:db8::/32 or 0/0`);
  if (prefix !== undefined && !(/^\d+$/.test(prefix) && Number(prefix) <= most))
    throw new Error(`/${prefix} is no prefix of ${host}`);
  return text;
}

function parsePort(text: string): string {
  const match = /^(\d{0,5})(:)?(\d{0,5})$/.exec(text);
  const [low, high] = [match?.[1] ?? '', match?.[3] ?? ''];
  if (!match || (!low && !high))
    throw new Error(`${text} is no port; expected 80, 2000:2005, :1024 or 6000:`);
  const from = Number(low || 0);
  const to = match[2] ? Number(high || 65_535) : from;
  if (from > to || to > 65_535) throw new Error(`${text} is no range of ports up to 65535`);
  return from === to ? String(from) : `${from}-${to}`;
}

function parseRule(words: string[]): Rule {
  const [verdict, direction, addresses, ...rest] = words;
  if (verdict !== 'allow' && verdict !== 'deny')
    throw new Error(`expected enable, log, allow or deny, found "${verdict}"`);
  if (direction !== 'from' && direction !== 'to') throw new Error(`expected from or to after ${verdict}`);
  if (!addresses) throw new Error(`expected addresses after ${direction}`);
  const rule: Rule = {
    verdict: verdict === 'allow' ? 'accept' : 'drop',
    direction,
    addresses: addresses.split(',').map(parseAddress),
  };
  if (rest.length === 0) return rule;
  const side = rest[0] === 'from' || rest[0] === 'to' ? (rest.shift() as 'from' | 'to') : 'to';
  const match = /^(tcp|udp)\/(.+)$/.exec(rest.shift() ?? '');
  if (!match || rest.length > 0) throw new Error('expected tcp/PORT,... or udp/PORT,... at the end');
  return {
    ...rule,
    portSide: side,
    protocol: match[1] as 'tcp' | 'udp',
    ports: (match[2] ?? '').split(',').map(parsePort),
  };
}

/** Parses firewall.conf. Throws VsError 'usage' that names every fault by file and line. */
export function parseFirewall(text: string, file: string): Firewall {
  const firewall: Firewall = { enabled: false, log: false, rules: [] };
  const faults: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*$/, '').trim();
    try {
      if (line === 'enable') firewall.enabled = true;
      else if (line === 'log') firewall.log = true;
      else if (line) firewall.rules.push(parseRule(line.split(/\s+/)));
    } catch (error) {
      faults.push(`${file}:${index + 1}: ${(error as Error).message}`);
    }
  }
  if (faults.length > 0) throw new VsError('usage', faults.join('\n'));
  return firewall;
}

function statement(rule: Rule, family: 'ip' | 'ip6', log: boolean): string | undefined {
  const addresses = rule.addresses.filter((one) => (family === 'ip') === isIPv4(one.split('/')[0] ?? ''));
  if (addresses.length === 0) return undefined;
  const everyone = addresses.some((one) => one.endsWith('/0'));
  const where = everyone
    ? `meta nfproto ${family === 'ip' ? 'ipv4' : 'ipv6'}`
    : `${family} ${rule.direction === 'from' ? 'saddr' : 'daddr'} { ${addresses.join(', ')} }`;
  const ports = rule.ports
    ? ` ${rule.protocol} ${rule.portSide === 'from' ? 'sport' : 'dport'} { ${rule.ports.join(', ')} }`
    : '';
  return `    ${where}${ports}${log && rule.verdict === 'drop' ? ' log prefix "vs-deny "' : ''} ${rule.verdict}`;
}

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

/** The rules inside the namespace of the vserver: one transaction; established, ping, neighbour discovery and loopback are implicit. */
export function compile(firewall: Firewall): string {
  if (!firewall.enabled) return '';
  const chain = (direction: 'from' | 'to') =>
    firewall.rules
      .filter((rule) => rule.direction === direction)
      .flatMap((rule) => [statement(rule, 'ip', firewall.log), statement(rule, 'ip6', firewall.log)])
      .filter(Boolean)
      .join('\n');
  const common = `    ct state established,related accept
    icmp type { echo-request, echo-reply } accept
    icmpv6 type { echo-request, echo-reply, nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert, mld-listener-report, mld2-listener-report } accept`;
  const end = firewall.log ? '    log prefix "vs-deny " drop\n' : '';
  return `table inet vs
delete table inet vs
table inet vs {
${openSets}
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
${common}
${chain('from')}
${end}  }
  chain output {
    type filter hook output priority 0; policy drop;
    oif lo accept
${common}
${openRules}
${chain('to')}
${end}  }
}
`;
}
