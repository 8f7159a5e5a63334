import { expect, test } from 'vitest';
import { networkOf, parseNetworks } from '../../config/networks.ts';

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
    /conf:2: VLAN 10 is network blue already[^]*conf:3: .*overlaps[^]*conf:4: gateway[^]*conf:5: vlan[^]*conf:6: unknown option colour/,
  );
});
