import { expect, test } from 'vitest';
import {
  type RoutedNetwork,
  type Routing,
  planPolicyRouting,
  readRoutes,
  readRules,
  tableOf,
} from '../../services/network/policy-routing.ts';

const blue: RoutedNetwork = {
  vlan: 10,
  device: 'eth0.10',
  subnet: '10.60.10.0/24',
  gateway: '10.60.10.1',
  subnet6: 'FD60:10:0::/64',
  gateway6: 'fd60:10::1',
};
const green: RoutedNetwork = { vlan: 20, device: 'eth0.20', subnet: '10.60.20.0/24' };
const nothing: Routing = { rules: [], routes: [] };
const lines = (networks: RoutedNetwork[], current: Routing): string[] =>
  planPolicyRouting(networks, current).map((step) => step.join(' '));
const all: Routing = {
  rules: [
    { family: 4, priority: 20_010, from: '10.60.10.0/24', table: 10 },
    { family: 6, priority: 20_010, from: 'fd60:10::/64', table: 10 },
  ],
  routes: [
    { family: 4, table: 10, to: '10.60.10.0/24', via: undefined, device: 'eth0.10' },
    { family: 4, table: 10, to: 'default', via: '10.60.10.1', device: 'eth0.10' },
    { family: 6, table: 10, to: 'fd60:10::/64', device: 'eth0.10' },
    { family: 6, table: 10, to: 'default', via: 'fd60:10::1', device: 'eth0.10' },
  ],
};

test('a network gets its own route, its default and the rule that leads there, in this order', () => {
  expect(lines([blue], nothing)).toEqual([
    '-4 route add 10.60.10.0/24 dev eth0.10 table 10 protocol 118',
    '-6 route add fd60:10::/64 dev eth0.10 table 10 protocol 118',
    '-4 route add default via 10.60.10.1 dev eth0.10 table 10 protocol 118',
    '-6 route add default via fd60:10::1 dev eth0.10 table 10 protocol 118',
    '-4 rule add priority 20010 from 10.60.10.0/24 table 10 protocol 118',
    '-6 rule add priority 20010 from fd60:10::/64 table 10 protocol 118',
  ]);
  expect(lines([green], nothing)).toEqual([
    '-4 route add 10.60.20.0/24 dev eth0.20 table 20 protocol 118',
    '-4 rule add priority 20020 from 10.60.20.0/24 table 20 protocol 118',
  ]);
});

test('what is there stays; what is half there is completed', () => {
  expect(lines([blue], all)).toEqual([]);
  expect(lines([blue, green], all)).toEqual(lines([green], nothing));
  expect(lines([blue], { ...all, rules: all.rules.slice(1) })).toEqual([
    '-4 rule add priority 20010 from 10.60.10.0/24 table 10 protocol 118',
  ]);
});

test('another gateway replaces the route; a network that is unused goes, its rules first', () => {
  expect(lines([{ ...blue, gateway: '10.60.10.254' }], all)).toEqual([
    '-4 route replace default via 10.60.10.254 dev eth0.10 table 10 protocol 118',
  ]);
  expect(lines([], all)).toEqual([
    '-4 rule del priority 20010 from 10.60.10.0/24 table 10 protocol 118',
    '-6 rule del priority 20010 from fd60:10::/64 table 10 protocol 118',
    '-4 route del default via 10.60.10.1 dev eth0.10 table 10 protocol 118',
    '-6 route del default via fd60:10::1 dev eth0.10 table 10 protocol 118',
    '-4 route del 10.60.10.0/24 dev eth0.10 table 10 protocol 118',
    '-6 route del fd60:10::/64 dev eth0.10 table 10 protocol 118',
  ]);
  expect(lines([green], all)).toHaveLength(2 + 6);
});

test('the tables of the kernel are not those of a VLAN', () => {
  expect([1, 252, 253, 254, 255, 256, 4094].map(tableOf)).toEqual([
    1, 252, 10_253, 10_254, 10_255, 256, 4094,
  ]);
});

test('only what has the protocol of vs-tools is read as ours', () => {
  const rules = `[{"priority":0,"src":"all","table":"255"},{"priority":5,"src":"10.9.0.0","srclen":16,"table":"10"},
    {"priority":20010,"src":"10.60.10.0","srclen":24,"table":"10","protocol":"118"}]`;
  expect(readRules(4, rules)).toEqual([all.rules[0]]);
  const routes = `[{"dst":"default","gateway":"10.9.0.1","dev":"eth9","table":"10","protocol":"4","flags":[]},
    {"dst":"10.60.10.0/24","dev":"eth0.10","table":"10","protocol":"118","scope":"253","flags":[]},
    {"dst":"default","gateway":"10.60.10.1","dev":"eth0.10","table":"10","protocol":"118","flags":[]},
    {"type":"7","dst":"default","table":"20","protocol":"2","metric":4294967295,"flags":[]}]`;
  expect(readRoutes(4, routes)).toEqual(all.routes.slice(0, 2));
  expect(readRules(6, '')).toEqual([]);
});
