import { icmpTypes, icmpv6Types, protocols } from '../../shared/protocols.ts';
import { type Match, icmp, icmpv6, tcp, udp } from './rule.ts';
import { type Item, type Report, type Word, quote } from './words.ts';

const services: Record<string, number> = {
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  bootps: 67,
  bootpc: 68,
  tftp: 69,
  http: 80,
  kerberos: 88,
  pop3: 110,
  sunrpc: 111,
  ntp: 123,
  imap2: 143,
  imap: 143,
  snmp: 161,
  'snmp-trap': 162,
  ldap: 389,
  https: 443,
  submissions: 465,
  syslog: 514,
  submission: 587,
  ldaps: 636,
  rsync: 873,
  imaps: 993,
  pop3s: 995,
  openvpn: 1194,
  'ms-sql-s': 1433,
  nfs: 2049,
  mysql: 3306,
  postgresql: 5432,
  amqp: 5672,
  redis: 6379,
  'http-alt': 8080,
  mqtt: 1883,
  'secure-mqtt': 8883,
};

/** Ports by `name/protocol` from the text of /etc/services; a line that is none is no service. */
export function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name, port = '', ...aliases] = line.replace(/#.*/s, '').trim().split(/\s+/);
    const match = /^(\d{1,5})\/(tcp|udp)$/.exec(port);
    if (!name || !match || Number(match[1]) > 65_535) continue;
    for (const one of [name, ...aliases])
      if (!ports.has(`${one}/${match[2]}`)) ports.set(`${one}/${match[2]}`, Number(match[1]));
  }
  return ports;
}

/** A service's port: by the protocols of the rule, from /etc/services, else from the table here. */
function serviceOf(name: string, numbers: number[], known: () => Map<string, number>): number | undefined {
  const [first, other] = numbers.includes(tcp) ? ['tcp', 'udp'] : ['udp', 'tcp'];
  const listed = known().get(`${name}/${first}`) ?? known().get(`${name}/${other}`);
  return listed ?? (Object.hasOwn(services, name) ? services[name] : undefined);
}
const portExpected = 'a port: 80, 2000:2005, :1024, 6000: or a service as https';

function portOf(item: Item, numbers: number[], known: () => Map<string, number>, report: Report) {
  const match = /^(\d{0,5})(:)?(\d{0,5})$/.exec(item.text);
  if (!match || item.text === ':' || item.text === '') {
    const port = serviceOf(item.text, numbers, known);
    if (port === undefined) report(item.column, quote(item.text), portExpected);
    return [port ?? 0, port ?? 0] as [number, number];
  }
  const low = Number(match[1] || 0);
  const high = match[2] ? Number(match[3] || 65_535) : low;
  if (low > high || high > 65_535)
    report(item.column, quote(item.text), 'ports up to 65535, the lower first');
  return [low, high] as [number, number];
}
function typeOf(item: Item, number: number, report: Report): number {
  const table = number === icmp ? icmpTypes : icmpv6Types;
  if (Object.hasOwn(table, item.text)) return table[item.text] as number;
  if (/^\d{1,3}$/.test(item.text) && Number(item.text) <= 255) return Number(item.text);
  const name = number === icmp ? 'icmp' : 'icmpv6';
  report(item.column, quote(item.text), `a type of ${name}: 0 to 255 or a name as echo-request`);
  return 0;
}
/** The number of a protocol by name or number; undefined when it is none. */
export function protocolOf(text: string): number | undefined {
  if (Object.hasOwn(protocols, text)) return protocols[text];
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}
const protocolExpected =
  'a protocol: tcp/PORT,... udp/PORT,... tcp udp icmp icmp/TYPE icmpv6 icmpv6/TYPE any esp gre or a number';

interface Group {
  protocols: number[];
  column: number;
  parts?: Item[];
}
const kindOf = (number: number) =>
  number === tcp || number === udp ? 'ports' : number === icmp || number === icmpv6 ? 'types' : 'nothing';

function matchesOf(group: Group, known: () => Map<string, number>, report: Report): Match[] {
  const { protocols: numbers, parts } = group;
  if (!parts) return [{ protocols: [...new Set(numbers)] }];
  if (kindOf(numbers[0] ?? -1) === 'ports')
    return [
      { protocols: [...new Set(numbers)], ports: parts.map((part) => portOf(part, numbers, known, report)) },
    ];
  return [...new Set(numbers)].map((number) => ({
    protocols: [number],
    types: parts.map((part) => typeOf(part, number, report)),
  }));
}

/**
 * What protocols a rule is about: `tcp/80,443 udp/53`, `tcp,udp/53`, `icmp/echo-request`, `esp`, `47`. Nothing (or `any`) is every
 * protocol. After a slash a comma goes on with ports, until the name of a protocol comes.
 */
export function parseProtocols(words: Word[], known: () => Map<string, number>, report: Report): Match[] {
  const groups: Group[] = [];
  let every = words.length === 0;
  for (const word of words) {
    let waiting: { number: number; column: number }[] = [];
    let open: Group | undefined;
    for (const item of word.items) {
      const slash = item.quoted ? -1 : item.text.indexOf('/');
      const name = slash < 0 ? item.text : item.text.slice(0, slash);
      const number = protocolOf(name);
      const isNumber = /^\d+$/.test(name);
      if (slash < 0 && open?.parts && (number === undefined || isNumber) && name !== 'any') {
        open.parts.push(item);
        continue;
      }
      if (!item.quoted && slash < 0 && name === 'any') every = true;
      else if (number === undefined || item.quoted) report(item.column, quote(item.text), protocolExpected);
      else if (slash < 0) waiting.push({ number, column: item.column });
      else {
        const kind = kindOf(number);
        if (kind === 'nothing') {
          report(
            item.column + slash,
            quote(item.text),
            `nothing after ${name}: it has no ports and no types`,
          );
          continue;
        }
        const same = waiting.filter((one) => kindOf(one.number) === kind).map((one) => one.number);
        const others = waiting.filter((one) => kindOf(one.number) !== kind);
        groups.push(...others.map((one) => ({ protocols: [one.number], column: one.column })));
        const part = { text: item.text.slice(slash + 1), column: item.column + slash + 1 };
        open = { protocols: [...same, number], column: item.column, parts: [part] };
        groups.push(open);
        waiting = [];
        continue;
      }
      open = undefined;
    }
    if (waiting.length > 0)
      groups.push({ protocols: waiting.map((one) => one.number), column: waiting[0]?.column ?? 1 });
  }
  const matches = groups.flatMap((group) => matchesOf(group, known, report));
  return every ? [] : matches;
}
