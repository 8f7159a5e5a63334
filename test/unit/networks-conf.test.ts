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
  ['10:10.60.10.0/24:10.60.10.1:resolver', 29, /"resolver" is no name server/],
  ['10:10.60.10.0/24:10.60.10.255', 18, /first or the last address/],
  ['10:10.60.10.0/24:10.60.10.0', 18, /first or the last address/],
  [
    '10:10.60.10.0/24:10.60.11.1',
    18,
    /gateway 10\.60\.11\.1 is not in 10\.60\.10\.0\/24; expected an address/,
  ],
  ['10:10.60.10.5/24:10.60.10.1', 4, /expected the subnet itself, 10\.60\.10\.0\/24/],
  ['10:[fd60:10::5/64]', 4, /expected the subnet itself, fd60:10::\/64/],
  ['10:10.0.0.0/4', 4, /larger than a \/8/],
  ['10:127.1.0.0/16', 4, /lies in 127\.0\.0\.0\/8/],
  ['10:239.1.0.0/16', 4, /lies in 224\.0\.0\.0\/3/],
  ['10:[fe80::/64]', 4, /lies in fe80::\/10/],
  ['10:[::ffff:10.0.0.0/104]', 4, /lies in ::\/8/],
  ['10:10.60.10.0', 4, /found "10\.60\.10\.0", expected a subnet such as/],
  ['10:10.60.10.0/33', 4, /found "10\.60\.10\.0\/33", expected a subnet such as/],
  ['10:10.60.10.0/24:300.1.1.1', 18, /found "300\.1\.1\.1", expected a gateway/],
  ['10:10.60.10.0/24:[fd60::1]', 18, /expected a gateway such as .* of the same family/],
  ['10:fd60:10::/64:fd60:10::1', 17, /expected vlan:network.*IPv6 in \[\]/],
  ['10:[fd60:10::/64]:[fd60:10::1]:net6=[fd60:11::/64]', 37, /fd60:10::\/64 is IPv6 already/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=1279', 33, /found "1279", expected an MTU, a whole number from 1280/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=9217', 33, /expected an MTU/],
  ['10:10.60.10.0/24:10.60.10.1: name=a, mtu=abc', 42, /found "abc", expected an MTU/],
  ['10:10.60.10.0/24:10.60.10.1:mtu=1400,mtu=1500', 38, /mtu stands here twice/],
  ['10:10.60.10.0/24:10.60.10.1:name=', 29, /name has no value/],
  ['10:10.60.10.0/24:10.60.10.1:untagged=yes', 29, /untagged has no value/],
  ['10:10.60.10.0/24:10.60.10.1:name=all', 34, /cannot be called all/],
  ['10:10.60.10.0/24:10.60.10.1:name=Blue', 34, /found "Blue", expected a name/],
  ['10:10.60.10.0/24:10.60.10.1:uplink=lo', 36, /no device that can carry/],
  ['10:10.60.10.0/24:10.60.10.1:uplink=vsbr20', 36, /no device that can carry/],
  ['10:10.60.10.0/24:10.60.10.1:uplink=../x', 36, /no device that can carry/],
  ['4000:10.60.10.0/24:10.60.10.1:uplink=enp0s31f6xx', 38, /more than 15 characters/],
  ['0:10.60.10.0/24', 1, /found "0", expected a VLAN, a whole number from 1 to 4094/],
  ['4095:10.60.10.0/24', 1, /expected a VLAN/],
  ['1e1:10.60.10.0/24', 1, /expected a VLAN/],
  ['10:10.60.10.0/24:10.60.10.1:gw6=[fd60::1],name=b', 33, /gateway fd60::1 is not in any subnet/],
  ['10:10.60.10.0/24:10.60.10.1:net6=[fd60::/64],gw6=[fd60::]', 50, /first or the last address/],
  ['10', 1, /expected vlan:network/],
] as const)('%s is refused by file, line and column', (line, column, why) => {
  const parse = () => parseNetworks(`# first\n${line}`, 'networks.conf');
  expect(parse).toThrow(new RegExp(`^networks\\.conf:2:${column}: [^\\n]*$`));
  expect(parse).toThrow(why);
});

test('a network of IPv6 alone, and one form of an IPv6 address', () => {
  expect(one('30:[FD60:30:0::/64]:[fd60:30:0:0::1]:[FD60::53]:lab.example:name=six')).toEqual({
    name: 'six',
    vlan: 30,
    tagged: true,
    nameserver: 'fd60::53',
    domain: 'lab.example',
    subnet6: 'fd60:30::/64',
    gateway6: 'fd60:30::1',
  });
  const line = networkLine({ vlan: 30, subnet: 'fd60:30::/64', gateway: 'fd60:30::1', name: 'six' });
  expect(line).toBe('30:[fd60:30::/64]:[fd60:30::1]:name=six');
  expect(() => parseNetworks(`${line}\n  31:[fd60:30::/56]`, 'n')).toThrow(/^n:2:6: fd60:30::\/56 overlaps/);
});

test('all faults of a line, each in its place', () => {
  expect(() => parseNetworks('0:10.60.10.0:x:mtu=1,name=A', 'n')).toThrow(
    /^n:1:1: .*\nn:1:3: .*\nn:1:14: .*\nn:1:20: .*\nn:1:27: .*$/,
  );
  expect(() => parseSlaves(' host1:mtu=9,fast', 's')).toThrow(
    /^s:1:8: mtu is "9".*\ns:1:14: unknown option fast/,
  );
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
    /n:2:31: uplink eth1 carries a[^]*n:3:22: the name a is taken[^]*n:4:1: VLAN 10 is network a[^]*n:5:4: .*overlaps[^]*n:7:22: .*overlaps/,
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
  ).toThrow(
    /s:1:3: mtu is[^]*s:2:3: "lo"[^]*s:3:12: host c has two of mtu[^]*s:4:15: host d has two of uplink/,
  );
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
