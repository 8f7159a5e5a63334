import { expect, test } from 'vitest';
import { faultsOnHost, onHost } from '../../config/host-networks.ts';
import { networkLine, withLine, withoutNetwork } from '../../config/network-lines.ts';
import { parseNetworks } from '../../config/networks.ts';
import { parseSlaves } from '../../config/slaves.ts';

const one = (line: string) => parseNetworks(line, 'n')[0]!;

test('name servers of both families, several of them, and no gateway', () => {
  expect(one('10:10.60.10.0/24:10.60.10.1:10.60.10.2 [fd60::2]:example.org')).toMatchObject({
    nameserver: '10.60.10.2 fd60::2',
    domain: 'example.org',
    tagged: true,
  });
  expect(one('10:10.60.10.0/24:name=blue,uplink=none')).toMatchObject({ name: 'blue', tagged: false });
  expect(one('10:10.60.10.0/24')).toMatchObject({ name: 'vlan10', gateway: undefined });
});

test.each([
  ['10:[fd60::/64]', /is IPv6: a network has an IPv4 subnet/],
  ['10:10.60.10.0/24:10.60.10.1:resolver', /"resolver" is no name server/],
  ['10:10.60.10.0/24:10.60.10.255', /first or the last address/],
  ['10:10.60.10.0/24:10.60.10.0', /first or the last address/],
  ['10:10.0.0.0/4', /larger than a \/8/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=1279', /mtu/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=9217', /mtu/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=abc', /mtu/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=1400,mtu=1500', /mtu stands here twice/],
  ['10:10.60.10.0/24:10.60.10.1:name=', /name has no value/],
  ['10:10.60.10.0/24:10.60.10.1:untagged=yes', /untagged has no value/],
  ['10:10.60.10.0/24:10.60.10.1:name=all', /cannot be called all/],
  ['10:10.60.10.0/24:10.60.10.1:name=Blue', /name/],
  ['10:10.60.10.0/24:10.60.10.1:uplink=lo', /no device that can carry/],
  ['10:10.60.10.0/24:10.60.10.1:uplink=vsbr20', /no device that can carry/],
  ['10:10.60.10.0/24:10.60.10.1:uplink=../x', /no device that can carry/],
  ['4000:10.60.10.0/24:10.60.10.1:uplink=enp0s31f6xx', /more than 15 characters/],
  ['0:10.60.10.0/24', /vlan/],
  ['4095:10.60.10.0/24', /vlan/],
  ['1e1:10.60.10.0/24', /vlan/],
  ['10:10.60.10.0/24:10.60.10.1:gw6=[fd60::1],name=b', /gateway fd60::1 is not in any net6/],
])('%s is refused by file and line', (line, why) => {
  expect(() => parseNetworks(`# first\n${line}`, 'networks.conf')).toThrow(/^networks\.conf:2: /);
  expect(() => parseNetworks(`# first\n${line}`, 'networks.conf')).toThrow(why);
});

test('tagged and untagged on one uplink, and the same name, subnet or VLAN twice', () => {
  const text = `10:10.1.0.0/24::name=a,uplink=eth1
20:10.2.0.0/24::name=b,uplink=eth1,untagged
30:10.3.0.0/24::name=a
10:10.4.0.0/24
40:10.1.0.128/25
50:10.5.0.0/24::net6=[fd60:1::/48]
60:10.6.0.0/24::net6=[fd60:1:0:5::/64]`;
  expect(() => parseNetworks(text, 'n')).toThrow(
    /n:2: uplink eth1 carries a[^]*n:3: the name a is taken[^]*n:4: VLAN 10 is network a[^]*n:5: .*overlaps[^]*n:7: .*overlaps/,
  );
});

test('slaves.conf: uplinks and MTU of a host', () => {
  expect(parseSlaves('host1:uplink=eth1,uplink.blue=eth2,uplink.red=none,mtu=1496,noselect', 's')).toEqual([
    {
      host: 'host1',
      noselect: true,
      compress: false,
      uplink: 'eth1',
      uplinks: { blue: 'eth2', red: 'none' },
      mtu: 1496,
    },
  ]);
  expect(() =>
    parseSlaves('a:mtu=900\nb:uplink=lo\nc:mtu=1500,mtu=1400\nd:uplink=eth1,uplink=eth2\ne:uplink=none', 's'),
  ).toThrow(/s:1: mtu is[^]*s:2: "lo"[^]*s:3: host c has two of mtu[^]*s:4: host d has two of uplink/);
});

test('the uplink and the MTU of a network on a host', () => {
  const plain = one('10:10.1.0.0/24::name=blue');
  expect(onHost(plain, undefined, 1500)).toMatchObject({ uplink: undefined, mtu: 1500 });
  expect(onHost(plain, { uplink: 'eth1' }, 1500).uplink).toBe('eth1');
  expect(onHost(plain, { uplink: 'eth1', uplinks: { blue: 'eth2' } }).uplink).toBe('eth2');
  expect(onHost(plain, { uplink: 'eth1', uplinks: { blue: 'none' } }).uplink).toBeUndefined();
  expect(onHost(one('10:10.1.0.0/24::uplink=none'), { uplink: 'eth1' }).uplink).toBeUndefined();
  expect(onHost(one('10:10.1.0.0/24::untagged'), { uplink: 'eth1' }).uplink).toBeUndefined();
  expect(onHost(one('10:10.1.0.0/24::uplink=eth9'), { uplink: 'eth1' }).uplink).toBe('eth9');
  const jumbo = one('10:10.1.0.0/24::mtu=9000');
  expect(onHost(jumbo, { mtu: 1496 }, 1500).mtu).toBe(1496);
  expect(onHost(jumbo, {}, 1500).mtu).toBe(9000);
  expect(onHost(plain, { mtu: 9000 }, 1500).mtu).toBe(1500);
  expect(onHost(plain, { mtu: 1496 }).mtu).toBe(1496);
});

test('what cannot be on a host is named', () => {
  const networks = parseNetworks('10:10.1.0.0/24::name=a\n20:10.2.0.0/24::name=b,untagged', 'n');
  expect(faultsOnHost('host1', networks, { uplink: 'eth1' })).toEqual([]);
  expect(faultsOnHost('host1', networks, { uplink: 'eth1', uplinks: { b: 'eth1', c: 'eth2' } })).toEqual([
    'slaves.conf, host1: uplink.c: networks.conf has no network c',
    'slaves.conf, host1: b: uplink eth1 carries a already; two networks on one device must both be tagged',
  ]);
});

test('a line is added and removed, and the others stay', () => {
  const line = networkLine({
    vlan: 30,
    subnet: '10.60.30.0/24',
    gateway: '10.60.30.1',
    name: 'red',
    subnet6: 'fd60:30::/64',
    gateway6: 'fd60:30::1',
    uplink: 'eth1',
    mtu: 1496,
    nameserver: '10.60.30.1 fd60:30::1',
  });
  expect(line).toBe(
    '30:10.60.30.0/24:10.60.30.1:10.60.30.1 [fd60:30::1]:name=red,net6=[fd60:30::/64],gw6=[fd60:30::1],uplink=eth1,mtu=1496',
  );
  const before = '# mine\n10:10.1.0.0/24::name=a # the first\n\n';
  const after = withLine(before, line);
  expect(after).toBe(`${before}${line}\n`);
  expect(parseNetworks(after, 'n')).toHaveLength(2);
  expect(withoutNetwork(after, 'red')).toBe(before);
  expect(withoutNetwork(after, 'a')).toBe(`# mine\n\n${line}\n`);
  expect(withLine('x', line)).toBe(`x\n${line}\n`);
});

test('a value never becomes another field, option or line', () => {
  const wish = { vlan: 30, subnet: '10.60.30.0/24' };
  for (const more of [
    { domain: 'a:uplink=eth0' },
    { domain: 'a\n40:10.9.0.0/24' },
    { uplink: 'eth1,untagged' },
    { nameserver: '10.0.0.1 # no' },
    { subnet: '10.60.30.0/24:10.60.30.1' },
    { gateway: '10.9.9.9' },
  ])
    expect(() => networkLine({ ...wish, ...more }), JSON.stringify(more)).toThrow();
});
