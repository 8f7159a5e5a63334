import { expect, test } from 'vitest';
import { networkOf, parseNetworks } from '../../config/networks.ts';
import { parseCreate } from '../../config/create.ts';
import { parseSlaves } from '../../config/slaves.ts';
import { planUp } from '../../services/network/plan.ts';
import { hexOf, linkLocalOf } from '../../services/network/rules.ts';

const blue =
  '10:10.60.10.0/24:10.60.10.1:10.60.10.2:lab.example:name=blue,net6=[fd60:10::/64],gw6=[fd60:10::1],uplink=eth1,untagged';

test('a line with IPv6 and options, and a classic line', () => {
  const [one, two] = parseNetworks(`# comment\n${blue}\n20:10.60.20.0/24:10.60.20.1\n`, 'networks.conf');
  expect(one).toMatchObject({
    name: 'blue',
    vlan: 10,
    tagged: false,
    uplink: 'eth1',
    subnet6: 'fd60:10::/64',
    gateway6: 'fd60:10::1',
    nameserver: '10.60.10.2',
    domain: 'lab.example',
  });
  expect(two).toMatchObject({ name: 'vlan20', vlan: 20, gateway: '10.60.20.1' });
  expect(networkOf([one!, two!], '10.60.20.9')?.name).toBe('vlan20');
  expect(networkOf([one!, two!], 'fd60:10::9')?.name).toBe('blue');
  expect(networkOf([one!, two!], '192.0.2.1')).toBeUndefined();
});

test('every fault is named by file and line, all at once', () => {
  const text = `${blue}\n10:10.1.0.0/24:10.1.0.1\n30:10.60.10.128/25:\n40:10.4.0.0/24:10.5.0.1\n99999:10.9.0.0/24:\n50:10.50.0.0/24::::colour=red`;
  expect(() => parseNetworks(text, 'networks.conf')).toThrow(
    /conf:2:1: VLAN 10 is network blue already[^]*conf:3:4: .*overlaps[^]*conf:4:16: gateway[^]*conf:5:1: found "99999"[^]*conf:6:20: unknown option colour/,
  );
});

test('slaves.conf: options, and every fault by line', () => {
  expect(parseSlaves('host1\nhost2:noselect,compress,bwlimit=50k # slow\n', 's')).toEqual([
    { host: 'host1', noselect: false, compress: false },
    { host: 'host2', noselect: true, compress: true, bwlimit: 51_200 },
  ]);
  expect(() => parseSlaves('host1\nhost1\nhost2:fast\nHost_3', 's')).toThrow(
    /s:2:1: host host1[^]*s:3:7: unknown option fast[^]*s:4:1: expected host/,
  );
});

test('create.conf: KEY=value', () => {
  expect(parseCreate('TEMPLATE="debian"\nMEMORY=1g\nCPU=8/10\nENABLE=yes\n', 'c')).toEqual({
    source: 'debian',
    enable: true,
    limits: { memory_bytes: 1024 ** 3, cpu: 0.8 },
  });
  expect(() => parseCreate('PROCS=1\nPROCS=2\nwrong\nWHAT=1\nMEMORY=much', 'c')).toThrow(
    /c:2: PROCS is set[^]*c:3: expected KEY=value[^]*c:4: unknown key WHAT[^]*c:5: MEMORY: expected a size/,
  );
});

test('IPv6 as a number, and the link-local address of a MAC', () => {
  expect(hexOf('fd60:10::5')).toBe('0xfd600010000000000000000000000005');
  expect(hexOf(linkLocalOf('02:00:0a:3c:0a:05'))).toBe('0xfe8000000000000000000afffe3c0a05');
});

test('a network is guarded at every up, before its uplink joins', () => {
  const [network] = parseNetworks('10:10.60.10.0/24:10.60.10.1:uplink=eth1', 'n');
  const steps = planUp(network!, new Map([['vsbr10', { ifname: 'vsbr10', mtu: 1500, flags: [] }]]), 1500);
  expect(steps.map((step) => step.do)).toEqual(['guard', 'vlan', 'port']);
});
