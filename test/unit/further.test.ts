import { describe, expect, test } from 'vitest';
import { furtherOf } from '../../config/further.ts';
import { parseNetworks } from '../../config/networks.ts';
import { routeLines } from '../../services/network/inside.ts';
import { addressesOf, interfacesOf, networksOf, questionsOf } from '../../shared/interfaces.ts';
import { vethOf } from '../../shared/veth.ts';

const [blue, green] = parseNetworks(
  '10:10.60.10.0/24:10.60.10.1:name=blue,net6=[fd60:10::/64],gw6=[fd60:10::1]\n20:10.60.20.0/24:10.60.20.1:name=green',
  'networks.conf',
) as [NonNullable<ReturnType<typeof parseNetworks>[0]>, NonNullable<ReturnType<typeof parseNetworks>[0]>];
const web1 = { name: 'web1', network: 'blue', mac: '02:00:00:00:00:01', address: '10.60.10.5', prefix: 24 };

describe('one more address', () => {
  test('in its own network it needs no MAC; in another one all of it share one', () => {
    expect(furtherOf(blue, { address: '10.60.10.6', address6: 'fd60:10::6' }, web1)).toEqual({
      network: 'blue',
      address: '10.60.10.6',
      prefix: 24,
      address6: 'fd60:10::6',
      prefix6: 64,
    });
    const first = furtherOf(green, { address: '10.60.20.6', prefix: 32 }, web1);
    expect(first).toMatchObject({ network: 'green', address: '10.60.20.6', prefix: 32 });
    expect(first.mac).toMatch(/^02:/);
    expect(furtherOf(green, { address: '10.60.20.7' }, { ...web1, more: [first] }).mac).toBe(first.mac);
  });
  test.each([
    [{ address: '10.60.10.5' }, /web1 has 10\.60\.10\.5 already/],
    [{ address: '10.60.10.1' }, /gateway of network blue/],
    [{ address6: 'fd60:10::1' }, /gateway of network blue/],
    [{ address: '10.60.10.255' }, /network or broadcast address/],
    [{ address: '10.60.11.5' }, /not in network blue/],
    [{ address: '10.60.10.6', address6: 'fd60:20::6' }, /fd60:20::6 is not in network blue/],
  ])('%j is refused', (wanted, why) => expect(() => furtherOf(blue, wanted, web1)).toThrow(why));
  test('31 are the most', () => {
    const more = Array.from({ length: 31 }, (_, at) => ({
      network: 'blue',
      address: `10.60.10.${at + 100}`,
    }));
    expect(() => furtherOf(blue, { address: '10.60.10.9' }, { ...web1, more })).toThrow(/that is the most/);
  });
});

const more = [
  { network: 'green', address: '10.60.20.5', prefix: 24, mac: '02:00:00:00:00:02' },
  { network: 'blue', address6: 'fd60:10::15', prefix6: 64 },
  { network: 'green', address: '10.60.20.6', prefix: 24, mac: '02:00:00:00:00:02' },
];
const both = { ...web1, address6: 'fd60:10::5', prefix6: 64, more };

test('an interface for each network, in the order in which they came', () => {
  expect(interfacesOf(both)).toEqual([
    {
      device: 'eth0',
      veth: vethOf('web1'),
      network: 'blue',
      mac: '02:00:00:00:00:01',
      addresses: [{ address: '10.60.10.5', prefix: 24 }],
      addresses6: [
        { address: 'fd60:10::5', prefix: 64 },
        { address: 'fd60:10::15', prefix: 64 },
      ],
    },
    {
      device: 'eth1',
      veth: vethOf('web1', 'green'),
      network: 'green',
      mac: '02:00:00:00:00:02',
      addresses: [
        { address: '10.60.20.5', prefix: 24 },
        { address: '10.60.20.6', prefix: 24 },
      ],
      addresses6: [],
    },
  ]);
  expect(vethOf('web1', 'green')).toMatch(/^vsv[0-9a-f]{8}$/);
  expect(vethOf('web1', 'green')).not.toBe(vethOf('web1'));
  expect(networksOf(both)).toEqual(['blue', 'green']);
  expect(addressesOf(both)).toEqual(['10.60.10.5', 'fd60:10::5', '10.60.20.5', 'fd60:10::15', '10.60.20.6']);
  expect(questionsOf(both)).toEqual([
    { network: 'blue', address: '10.60.10.5', address6: 'fd60:10::5' },
    { network: 'green', address: '10.60.20.5' },
    { network: 'blue', address6: 'fd60:10::15' },
    { network: 'green', address: '10.60.20.6' },
  ]);
});

test('with several interfaces each address answers by its own, with one there is nothing to say', () => {
  const networks = [blue, green];
  const places = interfacesOf(both).map((port, at) => ({ port, network: networks[at] ?? blue }));
  expect(routeLines(places.slice(0, 1))).toEqual({ four: [], six: [] });
  expect(routeLines(places)).toEqual({
    four: [
      'route replace 10.60.10.0/24 dev eth0 table 1000',
      'route replace default via 10.60.10.1 dev eth0 table 1000',
      'rule add from 10.60.10.5 lookup 1000 priority 1000',
      'route replace 10.60.20.0/24 dev eth1 table 1001',
      'route replace default via 10.60.20.1 dev eth1 table 1001',
      'rule add from 10.60.20.5 lookup 1001 priority 1001',
      'rule add from 10.60.20.6 lookup 1001 priority 1001',
    ],
    six: [
      'route replace fd60:10::/64 dev eth0 table 1000',
      'route replace default via fd60:10::1 dev eth0 table 1000',
      'rule add from fd60:10::5 lookup 1000 priority 1000',
      'rule add from fd60:10::15 lookup 1000 priority 1000',
    ],
  });
});
