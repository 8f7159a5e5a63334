/**
 * The packet table: what the firewalls of these vservers let through, over IPv4 and IPv6. Each row is sent as real packets.
 * web1 has the rules below; web5 denies all; web6 has rules but no `enable`; the others have none. The port is that of `to`; `A>B` sends from A.
 */
export type Place = 'web1' | 'web2' | 'web3' | 'web4' | 'web5' | 'web6' | 'web7' | 'prober';
export interface Row {
  family: 4 | 6;
  from: Place;
  to: Place;
  protocol: string;
  port: string;
  /** new: a first packet; reply: the answers too; related: an ICMP error comes back; stray: as if a connection were open; fragments: of one datagram. */
  state: 'new' | 'reply' | 'related' | 'stray' | 'fragments';
  expected: 'pass' | 'drop' | 'refused';
}

/** Where each is: web1, web2, web5, web6 on blue and host1, web3 on blue and host2, web4 on green and host1, web7 on green and host2. */
export const places: Record<Place, { host: string; 4: string; 6: string }> = {
  web1: { host: 'host1', 4: '10.60.10.5', 6: 'fd60:10::5' },
  web2: { host: 'host1', 4: '10.60.10.6', 6: 'fd60:10::6' },
  web3: { host: 'host2', 4: '10.60.10.7', 6: 'fd60:10::7' },
  web4: { host: 'host1', 4: '10.60.20.5', 6: 'fd60:20::5' },
  web5: { host: 'host1', 4: '10.60.10.8', 6: 'fd60:10::8' },
  web6: { host: 'host1', 4: '10.60.10.9', 6: 'fd60:10::9' },
  web7: { host: 'host2', 4: '10.60.20.6', 6: 'fd60:20::6' },
  prober: { host: 'prober', 4: '192.0.2.2', 6: '2001:db8:ff::2' },
};
const both = (place: Place): string => `${places[place][4]},${places[place][6]}`;
const blue = '10.60.10.0/24,fd60:10::/64';
const outside = '192.0.2.0/24,2001:db8:ff::/64';

export const firewalls: Partial<Record<Place, string>> = {
  web1: `enable
# the first line that matches decides
deny  from ${both('web7')}
deny  from ${both('web2')} tcp/2003
allow from ${blue} tcp/2000:2005
deny  from ${blue} tcp/2004
# lists, and ranges open on one side
allow from ${both('web3')},${both('web4')} tcp/80,443,8080
allow from ${both('web4')} tcp/:1024
allow from ${outside} tcp/6000:
allow from ${both('web2')} to udp/5353,7000:7002
deny  from ${both('web3')} udp/7001
allow from ${both('web3')} udp/7000:7002
allow from ${blue},${outside} udp/7100
# the port of the other side
allow from ${outside} from udp/5300:5301
allow from ${outside} from tcp/5302
# every address of one family
allow from 0/0 tcp/4400
allow from ::/0 tcp/4600
allow from 0/0 tcp/4700
deny  from ::/0 tcp/4700
# everything of one vserver
allow from ${both('web6')}
# out
deny  to ${both('web3')} tcp/9001
allow to ${blue} tcp/9000:9002
allow to ${outside} udp/9003,9099
allow to ${outside} tcp/9004
allow to ${both('web2')} udp/9098
allow to 0/0 tcp/9100
allow to ::/0 tcp/9101
allow to ${both('web4')} from tcp/9200
allow to ${both('web6')}
deny  to 0/0
deny  to ::/0
`,
  web5: 'enable\n',
  web6: `# no "enable": none of these holds
deny from 0/0
deny from ::/0
deny to 0/0
deny to ::/0
`,
};

type Short = [
  from: Place,
  to: Place,
  protocol: string,
  port: number | string,
  expected: Row['expected'],
  state?: Row['state'],
];
const short: Short[] = [
  // order: the first match
  ['web2', 'web1', 'tcp', 2002, 'pass'],
  ['web2', 'web1', 'tcp', 2003, 'drop'],
  ['web3', 'web1', 'tcp', 2003, 'pass'],
  ['web2', 'web1', 'tcp', 2004, 'pass'],
  ['web7', 'web1', 'tcp', 4400, 'drop'],
  ['web3', 'web1', 'udp', 7001, 'drop'],
  // ranges and their ends
  ['web2', 'web1', 'tcp', 1999, 'drop'],
  ['web2', 'web1', 'tcp', 2000, 'pass'],
  ['web2', 'web1', 'tcp', 2005, 'pass'],
  ['web2', 'web1', 'tcp', 2006, 'drop'],
  ['web4', 'web1', 'tcp', 1, 'pass'],
  ['web4', 'web1', 'tcp', 1024, 'pass'],
  ['web4', 'web1', 'tcp', 1025, 'drop'],
  ['prober', 'web1', 'tcp', 5999, 'drop'],
  ['prober', 'web1', 'tcp', 6000, 'pass'],
  ['prober', 'web1', 'tcp', 65_535, 'pass'],
  ['web2', 'web1', 'udp', 6999, 'drop'],
  ['web2', 'web1', 'udp', 7000, 'pass'],
  ['web2', 'web1', 'udp', 7002, 'pass'],
  ['web2', 'web1', 'udp', 7003, 'drop'],
  // lists, and addresses that are not meant
  ['web3', 'web1', 'tcp', 80, 'pass'],
  ['web3', 'web1', 'tcp', 443, 'pass', 'reply'],
  ['web3', 'web1', 'tcp', 8080, 'pass'],
  ['web3', 'web1', 'tcp', 81, 'drop'],
  ['web2', 'web1', 'tcp', 80, 'drop'],
  ['web4', 'web1', 'tcp', 8080, 'pass'],
  ['prober', 'web1', 'tcp', 80, 'drop'],
  ['web4', 'web1', 'tcp', 2002, 'drop'],
  ['web2', 'web1', 'udp', 5353, 'pass'],
  ['web4', 'web1', 'udp', 5353, 'drop'],
  // another protocol on an open port
  ['web2', 'web1', 'udp', 2002, 'drop'],
  ['web2', 'web1', 'tcp', 7000, 'drop'],
  // the port of the other side
  ['prober', 'web1', 'udp', '5300>4000', 'pass'],
  ['prober', 'web1', 'udp', '5301>4001', 'pass'],
  ['prober', 'web1', 'udp', '5302>4000', 'drop'],
  ['prober', 'web1', 'tcp', '5302>4000', 'pass'],
  ['prober', 'web1', 'tcp', '5303>4001', 'drop'],
  ['prober', 'web1', 'udp', 5300, 'drop'],
  // everything of one, and no other
  ['web6', 'web1', 'tcp', 3333, 'pass'],
  ['web6', 'web1', 'udp', 3333, 'pass'],
  ['web6', 'web1', '253', '', 'pass'],
  ['web2', 'web1', '253', '', 'drop'],
  // out
  ['web1', 'web2', 'tcp', 9000, 'pass', 'reply'],
  ['web1', 'web2', 'tcp', 9001, 'pass'],
  ['web1', 'web3', 'tcp', 9001, 'drop'],
  ['web1', 'web3', 'tcp', 9002, 'pass'],
  ['web1', 'web3', 'tcp', 9003, 'drop'],
  ['web1', 'web3', 'udp', 9000, 'drop'],
  ['web1', 'prober', 'tcp', 9000, 'drop'],
  ['web1', 'prober', 'udp', 9003, 'pass', 'reply'],
  ['web1', 'prober', 'tcp', 9004, 'pass', 'reply'],
  ['web1', 'web4', 'tcp', '9200>9300', 'pass'],
  ['web1', 'web4', 'tcp', '9201>9300', 'drop'],
  ['web1', 'web6', 'tcp', 3333, 'pass'],
  ['web1', 'web6', 'udp', 3333, 'pass'],
  ['web1', 'web7', 'udp', 53, 'drop'],
  // a firewall that is only enabled: nothing in, nothing out, but ping
  ['web2', 'web5', 'tcp', 80, 'drop'],
  ['web2', 'web5', 'udp', 53, 'drop'],
  ['web2', 'web5', '253', '', 'drop'],
  ['web5', 'web2', 'tcp', 9000, 'drop'],
  ['web5', 'web2', 'udp', 53, 'drop'],
  ['web5', 'prober', 'tcp', 9004, 'drop'],
  // a firewall that is not enabled, whatever its lines say
  ['web2', 'web6', 'tcp', 9000, 'pass'],
  ['prober', 'web6', 'udp', 53, 'pass'],
  ['web6', 'web2', 'tcp', 9000, 'pass'],
  ['web6', 'prober', 'udp', 53, 'pass'],
  // loopback
  ['web1', 'web1', 'tcp', 1999, 'pass'],
  ['web1', 'web1', 'udp', 6999, 'pass'],
  ['web5', 'web5', 'tcp', 9000, 'pass'],
  // as if a connection were open
  ['web2', 'web1', 'tcp-ack', 1999, 'drop', 'stray'],
  ['web2', 'web1', 'tcp-syn-ack', 1999, 'drop', 'stray'],
  ['web2', 'web1', 'tcp-syn-ack', '9000>40000', 'drop', 'stray'],
  ['prober', 'web1', 'tcp-syn-ack', '9004>5001', 'drop', 'stray'],
  ['prober', 'web1', 'udp', '9003>40002', 'drop', 'stray'],
  // errors of what it sent itself come back
  ['web1', 'prober', 'udp', 9099, 'refused', 'related'],
  ['web1', 'web2', 'udp', 9098, 'refused', 'related'],
  ['web1', 'prober', 'mtu', 9003, 'pass', 'related'],
  // fragments
  ['web2', 'web1', 'udp', 7000, 'pass', 'fragments'],
  ['web2', 'web1', 'udp', 7003, 'drop', 'fragments'],
  ['web1', 'prober', 'udp', 9003, 'pass', 'fragments'],
  ['web1', 'prober', 'udp', 9005, 'drop', 'fragments'],
];
/** Types of ICMP by family; the port is the type. */
const icmp: [from: Place, to: Place, type4: number, type6: number | undefined, expected: Row['expected']][] =
  [
    ['web2', 'web1', 8, 128, 'pass'],
    ['web7', 'web1', 8, 128, 'pass'], // ping is implied, also for who is denied
    ['prober', 'web1', 8, 128, 'pass'],
    ['web1', 'web3', 8, 128, 'pass'],
    ['web1', 'prober', 8, 128, 'pass'],
    ['web2', 'web5', 8, 128, 'pass'],
    ['web5', 'web3', 8, 128, 'pass'],
    ['prober', 'web6', 8, 128, 'pass'],
    ['web2', 'web1', 13, undefined, 'drop'], // timestamps
    ['web6', 'web1', 13, undefined, 'pass'],
    ['web1', 'web2', 13, undefined, 'drop'],
    ['web2', 'web6', 13, undefined, 'pass'],
  ];
/** By family: who may, may not. */
const byFamily: Row[] = [
  { family: 4, from: 'web4', to: 'web1', protocol: 'tcp', port: '4400', state: 'new', expected: 'pass' },
  { family: 6, from: 'web4', to: 'web1', protocol: 'tcp', port: '4400', state: 'new', expected: 'drop' },
  { family: 4, from: 'web4', to: 'web1', protocol: 'tcp', port: '4600', state: 'new', expected: 'drop' },
  { family: 6, from: 'web4', to: 'web1', protocol: 'tcp', port: '4600', state: 'new', expected: 'pass' },
  { family: 4, from: 'web3', to: 'web1', protocol: 'tcp', port: '4700', state: 'new', expected: 'pass' },
  { family: 6, from: 'web3', to: 'web1', protocol: 'tcp', port: '4700', state: 'new', expected: 'drop' },
  { family: 4, from: 'web1', to: 'web4', protocol: 'tcp', port: '9100', state: 'new', expected: 'pass' },
  { family: 6, from: 'web1', to: 'web4', protocol: 'tcp', port: '9100', state: 'new', expected: 'drop' },
  { family: 4, from: 'web1', to: 'web4', protocol: 'tcp', port: '9101', state: 'new', expected: 'drop' },
  { family: 6, from: 'web1', to: 'web4', protocol: 'tcp', port: '9101', state: 'new', expected: 'pass' },
];

const families = [4, 6] as const;
export const table: Row[] = [
  ...short.flatMap(([from, to, protocol, port, expected, state = 'new']) =>
    families.map((family) => ({ family, from, to, protocol, port: String(port), state, expected })),
  ),
  ...icmp.flatMap(([from, to, type4, type6, expected]) =>
    families.flatMap((family) => {
      const type = family === 4 ? type4 : type6;
      return type === undefined
        ? []
        : [{ family, from, to, protocol: 'icmp', port: String(type), state: 'new' as const, expected }];
    }),
  ),
  ...byFamily,
];

/** Ports without a listener: their errors are what the row is about. */
const closed = ['9099', '9098'];
const portOf = (row: Row): number => Number(row.port.split('>').at(-1));
/** What listens at each place, so that a packet that gets through is answered. */
export function listeners(place: Place): { tcp: number[]; udp: number[] } {
  const ports = (protocols: string[]) => [
    ...new Set(
      table
        .filter((row) => row.to === place && protocols.includes(row.protocol) && !closed.includes(row.port))
        .map(portOf),
    ),
  ];
  return { tcp: ports(['tcp']), udp: ports(['udp', 'mtu']) };
}

/** A row as an order for peer.pl. */
export function orderOf(row: Row, id: string) {
  const sport = row.port.includes('>') ? Number(row.port.split('>')[0]) : undefined;
  return {
    id,
    protocol: row.protocol,
    to: places[row.to][row.family],
    port: portOf(row),
    ...(sport === undefined ? {} : { sport }),
    ...(row.state === 'reply' && row.protocol === 'tcp' ? { echo: true } : {}),
    ...(row.state === 'fragments' ? { bytes: 3000 } : row.protocol === 'mtu' ? { bytes: 1450 } : {}),
  };
}

export const printed = (row: Row): string =>
  `IPv${row.family} ${row.from} -> ${row.to} ${row.protocol} ${row.port} ${row.state}`;
