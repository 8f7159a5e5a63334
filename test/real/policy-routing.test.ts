import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type RoutedNetwork,
  planPolicyRouting,
  readRoutes,
  readRules,
} from '../../services/network/policy-routing.ts';

// A host with two VLANs (a veth each) and a management network with its default route; a gateway behind each of the three, and beyond them the world.
const id = `vslab-pol-${process.pid}`;
const gateways = ['mgmt', 'blue', 'green'] as const;
const spaces = [id, ...gateways.map((name) => `${id}-${name}`)];
const inside = (space: string, ...argv: string[]) =>
  spawnSync('nsenter', [`--net=/run/netns/${space}`, ...argv], { encoding: 'utf8', timeout: 20_000 });
function must(result: SpawnSyncReturns<string>): string {
  if (result.status !== 0) throw new Error(`${result.stderr} ${result.stdout}`);
  return result.stdout;
}
const ip = (...args: string[]): string => must(spawnSync('ip', args, { encoding: 'utf8', timeout: 20_000 }));
const onHost = (...args: string[]): string => ip('-n', id, ...args);
const world = { 4: '198.51.100.9', 6: '2001:db8:99::9' };
const net = (name: string, vlan: number): RoutedNetwork => ({
  vlan,
  device: name,
  subnet: `10.60.${vlan}.0/24`,
  gateway: `10.60.${vlan}.1`,
  subnet6: `fd60:${vlan}::/64`,
  gateway6: `fd60:${vlan}::1`,
});
const [blue, green] = [net('blue', 10), net('green', 20)];

const families = [4, 6] as const;
const current = () => ({
  rules: families.flatMap((family) => readRules(family, onHost('-N', '-j', `-${family}`, 'rule', 'show'))),
  routes: families.flatMap((family) =>
    readRoutes(family, onHost('-N', '-j', `-${family}`, 'route', 'show', 'table', 'all')),
  ),
});
function apply(networks: RoutedNetwork[]): number {
  const steps = planPolicyRouting(networks, current());
  for (const step of steps) onHost(...step);
  return steps.length;
}
/** All rules and routes of the host, but for the link-local ones, which the kernel makes when it likes. */
const everything = (): string =>
  families
    .map((family) => onHost(`-${family}`, 'rule') + onHost(`-${family}`, 'route', 'show', 'table', 'all'))
    .join('')
    .replaceAll(/.*(fe80|ff00):.*\n/g, '');
/** Which gateway gets a ping from this address to the world: each has the world's address itself, and counts. */
function leavesBy(source: string): string[] {
  const target = source.includes(':') ? world[6] : world[4];
  const matches = source.includes(':') ? `ip6 saddr ${source}` : `ip saddr ${source}`;
  const counter = `table inet seen\ndelete table inet seen\ntable inet seen {\nchain input {\ntype filter hook prerouting priority 0\n${matches} counter\n}\n}\n`;
  for (const name of gateways)
    must(inside(`${id}-${name}`, 'sh', '-c', 'printf "$1" | nft -f -', 'sh', counter));
  inside(id, 'ping', '-c1', '-W1', '-I', source, target); // a gateway knows the way back to its own network only
  return gateways.filter((name) =>
    / packets [1-9]/.test(must(inside(`${id}-${name}`, 'nft', 'list', 'table', 'inet', 'seen'))),
  );
}

beforeAll(() => {
  for (const space of spaces) {
    ip('netns', 'add', space);
    ip('-n', space, 'link', 'set', 'lo', 'up');
  }
  for (const [name, vlan] of [
    ['mgmt', 98],
    ['blue', 10],
    ['green', 20],
  ] as const) {
    const gateway = `${id}-${name}`;
    onHost('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', gateway);
    onHost('link', 'set', name, 'up');
    ip('-n', gateway, 'link', 'set', 'eth0', 'up');
    onHost('addr', 'add', `10.60.${vlan}.5/24`, 'dev', name);
    onHost('-6', 'addr', 'add', `fd60:${vlan}::5/64`, 'dev', name, 'nodad');
    ip('-n', gateway, 'addr', 'add', `10.60.${vlan}.1/24`, 'dev', 'eth0');
    ip('-n', gateway, '-6', 'addr', 'add', `fd60:${vlan}::1/64`, 'dev', 'eth0', 'nodad');
    ip('-n', gateway, 'addr', 'add', `${world[4]}/32`, 'dev', 'lo');
    ip('-n', gateway, '-6', 'addr', 'add', `${world[6]}/128`, 'dev', 'lo', 'nodad');
  }
  onHost('route', 'add', 'default', 'via', '10.60.98.1');
  onHost('-6', 'route', 'add', 'default', 'via', 'fd60:98::1');
  // what somebody else has made: in a table that a network uses too, and beside it
  onHost('rule', 'add', 'priority', '77', 'from', '10.77.0.0/16', 'table', '77');
  onHost('route', 'add', '10.77.0.0/16', 'dev', 'mgmt', 'table', '77');
  onHost('route', 'add', '10.78.0.0/16', 'dev', 'mgmt', 'table', '10');
});
afterAll(() => {
  for (const space of spaces) spawnSync('ip', ['netns', 'del', space]);
});

test('each source address leaves by the gateway of its network; again changes nothing; removed leaves nothing', () => {
  const before = everything();
  expect(leavesBy('10.60.10.5')).toEqual(['mgmt']); // what it is for
  expect(apply([blue, green])).toBe(12);
  for (const [name, vlan] of [
    ['blue', 10],
    ['green', 20],
    ['mgmt', 98],
  ] as const) {
    expect(leavesBy(`10.60.${vlan}.5`)).toEqual([name]);
    expect(leavesBy(`fd60:${vlan}::5`)).toEqual([name]);
  }
  const applied = everything();
  expect(apply([blue, green])).toBe(0);
  expect(everything()).toBe(applied);
  expect(apply([green])).toBe(6);
  expect(leavesBy('10.60.20.5')).toEqual(['green']);
  expect(leavesBy('10.60.10.5')).toEqual(['mgmt']);
  expect(apply([])).toBe(6);
  expect(everything()).toBe(before);
});

test('a route of somebody else in the same table is not overwritten', () => {
  onHost('route', 'add', 'default', 'via', '10.60.98.1', 'table', '20');
  expect(() => apply([green])).toThrow(/File exists/);
  expect(onHost('route', 'show', 'table', '20')).toContain('default via 10.60.98.1');
  onHost('route', 'del', 'default', 'via', '10.60.98.1', 'table', '20');
  apply([green]);
  apply([]);
});
