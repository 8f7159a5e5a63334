/** Raw frames that a vserver might send: what may leave it, and what its host's end of the wire drops. Bytes as hex. */
export interface Station {
  mac: string;
  4: string;
  6: string;
  link: string;
}
export interface Frame {
  name: string;
  /** Its last bytes, by which it is known again. */
  mark: string;
  hex: string;
  expected: 'pass' | 'drop';
}

const byte = (value: number): string => value.toString(16).padStart(2, '0');
const word = (value: number): string => value.toString(16).padStart(4, '0');
const long = (value: number): string => value.toString(16).padStart(8, '0');
const mac = (text: string): string => text.replaceAll(':', '');
const ip4 = (text: string): string =>
  text
    .split('.')
    .map((one) => byte(Number(one)))
    .join('');
function ip6(text: string): string {
  const [head = '', tail = ''] = text.split('::');
  const words = (part: string) => part.split(':').filter(Boolean);
  const [high, low] = [words(head), words(tail)];
  return [...high, ...Array<string>(8 - high.length - low.length).fill('0'), ...low]
    .map((one) => one.padStart(4, '0'))
    .join('');
}
function checksum(hex: string): string {
  let sum = 0;
  for (let at = 0; at < hex.length; at += 4) sum += parseInt(hex.slice(at, at + 4).padEnd(4, '0'), 16);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return word(~sum & 0xffff);
}
const size = (hex: string): number => hex.length / 2;

const broadcast = 'ff:ff:ff:ff:ff:ff';
const allNodes = 'ff02::1';

function ipv4(from: string, to: string, protocol: number, payload: string, fragment = 0): string {
  const head = (sum: string) =>
    `4500${word(20 + size(payload))}0001${word(fragment)}40${byte(protocol)}${sum}${ip4(from)}${ip4(to)}`;
  return head(checksum(head('0000'))) + payload;
}
const ipv6 = (from: string, to: string, next: number, payload: string): string =>
  `60000000${word(size(payload))}${byte(next)}ff${ip6(from)}${ip6(to)}${payload}`;
const udp = (from: number, to: number, payload: string): string =>
  `${word(from)}${word(to)}${word(8 + size(payload))}0000${payload}`;
function icmp(type: number, body: string): string {
  const packet = (sum: string) => `${byte(type)}00${sum}${body}`;
  return packet(checksum(packet('0000')));
}
function icmp6(from: string, to: string, type: number, body: string): string {
  const packet = (sum: string) => `${byte(type)}00${sum}${body}`;
  const pseudo = `${ip6(from)}${ip6(to)}${long(size(packet('0000')))}0000003a`;
  return packet(checksum(pseudo + packet('0000')));
}
const icmpv6 = (from: string, to: string, type: number, body: string): string =>
  ipv6(from, to, 58, icmp6(from, to, type, body));
const arp = (operation: number, from: string, fromAddress: string, toAddress: string): string =>
  `000108000604${word(operation)}` + mac(from) + ip4(fromAddress) + '00'.repeat(6) + ip4(toAddress);

/** The frames of one vserver, `own`, to a neighbour on its network and to everybody there. */
export function frames(own: Station, neighbour: Station, gateway: Station): Frame[] {
  const all: Frame[] = [];
  /** `payload` takes the mark, so that lengths and checksums are right. */
  function add(
    expected: Frame['expected'],
    name: string,
    type: number | string,
    payload: (mark: string) => string,
    { from = own.mac, to = neighbour.mac, pad = false } = {},
  ): void {
    const mark = `76732d6d61726b${word(all.length)}`; // "vs-mark" and its number
    const body = payload(mark);
    const head = mac(to) + mac(from) + (typeof type === 'number' ? word(type) : type);
    const hex = pad ? (head + body).padEnd(120, '0') + mark : head + body;
    all.push({ name, mark, hex, expected });
  }
  const four =
    (from: string, to = neighbour[4]) =>
    (mark: string) =>
      ipv4(from, to, 17, udp(5000, 5001, mark));
  const six =
    (from: string, to = neighbour[6]) =>
    (mark: string) =>
      ipv6(from, to, 17, udp(5000, 5001, mark));
  const everybody = { to: broadcast };
  const padded = { to: broadcast, pad: true };
  const nodes6 = { to: '33:33:00:00:00:01' };
  const other = '02:00:00:00:00:99';
  /** Neighbour discovery: the target, and the mark in an option that nobody knows. */
  const discovery = (flags: string, target: string) => (mark: string) =>
    `${flags}${ip6(target)}fe02${mark.padStart(28, '0')}`;
  const advert = (from: string, target: string) => (mark: string) =>
    icmpv6(from, allNodes, 136, discovery('20000000', target)(mark));
  const solicit = (from: string, target: string) => (mark: string) =>
    icmpv6(from, allNodes, 135, discovery('00000000', target)(mark));
  const routerAdvert = (mark: string) => `40c00708${'00'.repeat(8)}fe02${mark.padStart(28, '0')}`;

  add('pass', 'own IPv4', 0x0800, four(own[4]));
  add('pass', 'own IPv4 to everybody', 0x0800, four(own[4], '10.60.10.255'), everybody);
  add('pass', 'own IPv6', 0x86dd, six(own[6]));
  add('pass', 'own ARP question', 0x0806, () => arp(1, own.mac, own[4], neighbour[4]), padded);
  add('pass', 'own gratuitous ARP', 0x0806, () => arp(2, own.mac, own[4], own[4]), padded);
  add('pass', 'neighbour advertisement of its own address', 0x86dd, advert(own[6], own[6]), nodes6);
  add(
    'pass',
    'neighbour advertisement of its own link-local address',
    0x86dd,
    advert(own.link, own.link),
    nodes6,
  );
  add('pass', 'neighbour solicitation', 0x86dd, solicit(own[6], neighbour[6]), nodes6);
  add('pass', 'duplicate address detection of its own address', 0x86dd, solicit('::', own[6]), nodes6);
  add('pass', 'later fragment of own IPv4', 0x0800, (mark) => ipv4(own[4], neighbour[4], 17, mark, 0x2010));
  add('pass', 'first fragment of own IPv6', 0x86dd, (mark) =>
    ipv6(own[6], neighbour[6], 44, `1100000100000001${udp(5000, 5001, mark)}`),
  );
  add('pass', 'later fragment of own IPv6', 0x86dd, (mark) =>
    ipv6(own[6], neighbour[6], 44, `1100008000000001${mark}`),
  );

  add('drop', 'foreign MAC', 0x0800, four(own[4]), { from: other });
  add('drop', 'foreign MAC, IPv6', 0x86dd, six(own[6]), { from: other });
  add('drop', 'IPv4 of the neighbour', 0x0800, four(neighbour[4]), everybody);
  add('drop', 'IPv4 of the gateway', 0x0800, four(gateway[4]));
  add('drop', 'IPv4 that nobody has', 0x0800, four('10.60.10.77'));
  add('drop', 'IPv4 of the world', 0x0800, four('198.51.100.1'));
  add('drop', 'IPv4 without address', 0x0800, four('0.0.0.0'), everybody);
  add('drop', 'IPv6 of the neighbour', 0x86dd, six(neighbour[6]), nodes6);
  add('drop', 'IPv6 of the gateway', 0x86dd, six(gateway[6]));
  add('drop', 'IPv6 of the world', 0x86dd, six('2001:db8::1'));
  add('drop', 'foreign link-local address', 0x86dd, six('fe80::99'));
  add('drop', 'IPv6 without address', 0x86dd, six('::'));
  add('drop', 'foreign IPv4, later fragment', 0x0800, (mark) =>
    ipv4('10.60.10.77', neighbour[4], 17, mark, 0x2010),
  );
  add('drop', 'foreign IPv6, later fragment', 0x86dd, (mark) =>
    ipv6('fd60:10::77', neighbour[6], 44, `1100008000000001${mark}`),
  );
  add('drop', 'ARP answer for the gateway', 0x0806, () => arp(2, own.mac, gateway[4], neighbour[4]), padded);
  add(
    'drop',
    'ARP answer for the neighbour',
    0x0806,
    () => arp(2, own.mac, neighbour[4], gateway[4]),
    padded,
  );
  add(
    'drop',
    'gratuitous ARP for a foreign address',
    0x0806,
    () => arp(1, own.mac, '10.60.10.77', '10.60.10.77'),
    padded,
  );
  add('drop', 'ARP that names a foreign MAC', 0x0806, () => arp(2, other, own[4], neighbour[4]), padded);
  add('drop', 'ARP from a foreign MAC', 0x0806, () => arp(1, own.mac, own[4], neighbour[4]), {
    ...padded,
    from: other,
  });
  add('drop', 'RARP', 0x8035, () => arp(3, own.mac, own[4], own[4]), padded);

  add(
    'drop',
    'router advertisement',
    0x86dd,
    (mark) => icmpv6(own.link, allNodes, 134, routerAdvert(mark)),
    nodes6,
  );
  add(
    'drop',
    'router advertisement from its own address',
    0x86dd,
    (mark) => icmpv6(own[6], allNodes, 134, routerAdvert(mark)),
    nodes6,
  );
  add(
    'drop',
    'router advertisement behind destination options',
    0x86dd,
    (mark) =>
      ipv6(own[6], allNodes, 60, `3a00010400000000${icmp6(own[6], allNodes, 134, routerAdvert(mark))}`),
    nodes6,
  );
  add(
    'drop',
    'router advertisement as a first fragment',
    0x86dd,
    (mark) =>
      ipv6(own[6], allNodes, 44, `3a00000100000001${icmp6(own[6], allNodes, 134, routerAdvert(mark))}`),
    nodes6,
  );
  add(
    'drop',
    'first fragment that hides what it carries',
    0x86dd,
    (mark) => ipv6(own[6], allNodes, 44, `3c000001000000013a01010c${'00'.repeat(3)}${mark}`),
    nodes6,
  );
  add('drop', 'redirect, IPv6', 0x86dd, (mark) =>
    icmpv6(
      own[6],
      neighbour[6],
      137,
      `00000000${ip6(own.link)}${ip6('2001:db8::1')}fe02${mark.padStart(28, '0')}`,
    ),
  );
  add('drop', 'redirect, IPv4', 0x0800, (mark) => ipv4(own[4], neighbour[4], 1, icmp(5, ip4(own[4]) + mark)));
  add(
    'drop',
    'router advertisement, IPv4',
    0x0800,
    (mark) => ipv4(own[4], '224.0.0.1', 1, icmp(9, `01020708${ip4(own[4])}00000000${mark}`)),
    everybody,
  );
  add('drop', 'neighbour advertisement of the gateway', 0x86dd, advert(own[6], gateway[6]), nodes6);
  add('drop', 'neighbour advertisement of the neighbour', 0x86dd, advert(own[6], neighbour[6]), nodes6);
  add('drop', 'the same from its link-local address', 0x86dd, advert(own.link, neighbour[6]), nodes6);
  add(
    'drop',
    "duplicate address detection of the neighbour's address",
    0x86dd,
    solicit('::', neighbour[6]),
    nodes6,
  );
  add(
    'drop',
    'VRRP',
    0x0800,
    (mark) => ipv4(own[4], '224.0.0.18', 112, `2101ff0100010000${ip4(gateway[4])}${mark}`),
    everybody,
  );
  add(
    'drop',
    'VRRP, IPv6',
    0x86dd,
    (mark) => ipv6(own[6], 'ff02::12', 112, `3101ff0100640000${mark}`),
    nodes6,
  );

  add(
    'drop',
    'DHCP server',
    0x0800,
    (mark) => ipv4(own[4], '255.255.255.255', 17, udp(67, 68, mark)),
    everybody,
  );
  add(
    'drop',
    'DHCP server on another port',
    0x0800,
    (mark) => ipv4(own[4], '255.255.255.255', 17, udp(5000, 68, mark)),
    everybody,
  );
  add('drop', 'DHCP server, to one', 0x0800, (mark) => ipv4(own[4], neighbour[4], 17, udp(67, 68, mark)));
  add(
    'drop',
    'DHCP client',
    0x0800,
    (mark) => ipv4('0.0.0.0', '255.255.255.255', 17, udp(68, 67, mark)),
    everybody,
  );
  add(
    'drop',
    'DHCP client with its own address',
    0x0800,
    (mark) => ipv4(own[4], '255.255.255.255', 17, udp(68, 67, mark)),
    everybody,
  );
  add('drop', 'DHCPv6 server', 0x86dd, (mark) => ipv6(own[6], neighbour[6], 17, udp(547, 546, mark)));
  add(
    'drop',
    'DHCPv6 server, link-local',
    0x86dd,
    (mark) => ipv6(own.link, allNodes, 17, udp(547, 546, mark)),
    nodes6,
  );
  add(
    'drop',
    'DHCPv6 client',
    0x86dd,
    (mark) => ipv6(own.link, 'ff02::1:2', 17, udp(546, 547, mark)),
    nodes6,
  );
  add('drop', 'first fragment of a DHCP server', 0x0800, (mark) =>
    ipv4(own[4], neighbour[4], 17, udp(67, 68, mark), 0x2000),
  );

  const tagged = (tags: string) => `${tags}0800`;
  add('drop', 'tag of another VLAN', tagged('81000014'), four(own[4]));
  add('drop', 'tag of its own VLAN', tagged('8100000a'), four(own[4]));
  add('drop', 'tag of priority alone', tagged('8100e000'), four(own[4]));
  add('drop', 'two tags', tagged('8100000a81000014'), four(own[4]));
  add('drop', 'tag of a provider', tagged('88a80014'), four(own[4]));
  add('drop', 'tag of another VLAN, IPv6', '8100001486dd', six(own[6]));
  add('drop', 'STP', 0x0026, () => `424203${'00'.repeat(35)}`, { to: '01:80:c2:00:00:00', pad: true });
  add('drop', 'CDP', 0x0026, () => `aaaa0300000c2000${'00'.repeat(20)}`, {
    to: '01:00:0c:cc:cc:cc',
    pad: true,
  });
  add('drop', 'LLDP', 0x88cc, () => '0207040000000000000000', padded);
  add('drop', 'EAPOL', 0x888e, () => '01010000', padded);
  add('drop', 'PPPoE', 0x8863, () => '110900000000', padded);
  add('drop', 'MPLS', 0x8847, () => `00010140${ipv4(own[4], neighbour[4], 17, udp(1, 2, ''))}`, padded);
  add('drop', 'a protocol of its own', 0x88b5, () => '00', padded);
  // the last: a bridge that hears these two believes them from then on
  add('drop', 'MAC of the neighbour', 0x0800, four(own[4]), { ...everybody, from: neighbour.mac });
  add(
    'drop',
    'multicast listener query',
    0x86dd,
    (mark) =>
      ipv6(
        own.link,
        allNodes,
        0,
        `3a00050200000100${icmp6(own.link, allNodes, 130, `27100000${'00'.repeat(16)}027d0000${mark}`)}`,
      ),
    nodes6,
  );
  return all;
}
