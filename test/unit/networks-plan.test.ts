import { expect, test } from 'vitest';
import { parseNetworks } from '../../config/networks.ts';
import { mapSvg } from '../../cli/net/svg.ts';
import { type Mapped, mapText } from '../../cli/net/map.ts';
import { openArriving } from '../../services/network/arriving.ts';
import { largest } from '../../services/network/echo.ts';
import type { Link } from '../../services/network/ip.ts';
import { cannotJoin, planUp } from '../../services/network/plan.ts';
import { settle } from '../../services/network/settle.ts';
import { checkNetwork, judgeDevices } from '../../services/networks/check.ts';
import { placesOf } from '../../services/networks/hosts.ts';
import { merged } from '../../services/networks/main.ts';
import { type Placed, planNetworks } from '../../services/networks/plan.ts';

const read = (...lines: string[]) => parseNetworks(lines.join('\n'), 'n');
const wanted = (...lines: string[]) => ({ networks: read(...lines), hosts: {} });
const blue = '10:10.60.10.0/24:10.60.10.1:name=blue,uplink=eth1';
const green = '20:10.60.20.0/24:10.60.20.1:name=green,uplink=eth1';
const web1: Placed = {
  name: 'web1',
  host: 'host1',
  state: 'running',
  network: 'blue',
  address: '10.60.10.5',
};
const web2: Placed = {
  name: 'web2',
  host: 'host2',
  state: 'stopped',
  network: 'blue',
  address: '10.60.10.6',
};

test('nothing is different, and a network that is new', () => {
  expect(planNetworks(wanted(blue), wanted(blue), [web1])).toEqual({ changes: [], inTheWay: [] });
  const { changes, inTheWay } = planNetworks(wanted(blue), wanted(blue, green), [web1]);
  expect(changes).toEqual([{ network: 'green', what: 'new', when: 'now', vservers: [] }]);
  expect(inTheWay).toEqual([]);
});

test('what a vserver uses stays, also when it is stopped, also at the first time', () => {
  for (const before of [wanted(blue, green), undefined]) {
    const { inTheWay } = planNetworks(before, wanted(green), [web2]);
    expect(inTheWay).toEqual([
      'blue is used by web2 on host2 (stopped): it stays in networks.conf until they are removed or moved to another network',
    ]);
  }
  expect(planNetworks(wanted(blue, green), wanted(blue), [web1]).inTheWay).toEqual([]);
});

test.each([
  ['another uplink', blue.replace('eth1', 'eth2'), /another wire, while web1 on host1 runs/],
  ['another VLAN', blue.replace('10:', '11:'), /another wire, while web1/],
  ['no tag', `${blue},untagged`, /another wire, while web1/],
  ['smaller packets', `${blue},mtu=1496`, /MTU 1500 -> 1496, while web1/],
])('%s: refused while a vserver runs, and taken when all are stopped', (_, line, why) => {
  const stopped = { ...web1, state: 'stopped' };
  expect(planNetworks(wanted(blue), wanted(line), [web1, web2]).inTheWay.join()).toMatch(why);
  // one whose host is offline may run
  expect(planNetworks(wanted(blue), wanted(line), [{ ...web1, state: 'unknown' }]).inTheWay).toHaveLength(1);
  const { inTheWay, changes } = planNetworks(wanted(blue), wanted(line), [stopped, web2]);
  expect(inTheWay).toEqual([]);
  expect(changes).toHaveLength(1);
});

test('larger packets come now, and a gateway at the next start', () => {
  const { changes, inTheWay } = planNetworks(
    wanted(blue),
    wanted(`${blue.replace('10.1:', '10.254:')},mtu=9000`),
    [web1, web2],
  );
  expect(inTheWay).toEqual([]);
  expect(changes).toEqual([
    { network: 'blue', what: 'gateway 10.60.10.1 -> 10.60.10.254', when: 'next start', vservers: ['web1'] },
    { network: 'blue', what: "MTU the host's -> 9000", when: 'now', vservers: ['web1'] },
  ]);
});

test('a subnet that leaves an address outside', () => {
  const small = blue.replace('10.60.10.0/24', '10.60.10.0/29');
  expect(planNetworks(wanted(blue), wanted(small), [web1]).inTheWay).toEqual([]);
  expect(planNetworks(wanted(blue), wanted(small), [{ ...web1, address: '10.60.10.9' }]).inTheWay).toEqual([
    'blue: 10.60.10.9 of web1 would be outside of 10.60.10.0/29',
  ]);
});

test('an uplink of one host is changed: only who runs there is in the way', () => {
  const before = wanted(blue);
  const after = { ...wanted(blue), hosts: { host2: { uplinks: { blue: 'eth2' } } } };
  const { changes, inTheWay } = planNetworks(before, after, [web1, web2]);
  expect(inTheWay).toEqual([]);
  expect(changes).toMatchObject([{ what: 'host2: VLAN 10 tagged on eth1 -> VLAN 10 tagged on eth2' }]);
  const running = { ...web2, state: 'running' };
  expect(planNetworks(before, after, [web1, running]).inTheWay.join()).toMatch(/web2 on host2/);
  const bad = { ...wanted(blue), hosts: { host2: { uplinks: { red: 'eth2' } } } };
  expect(planNetworks(before, bad, []).inTheWay).toEqual([
    'slaves.conf, host2: uplink.red: networks.conf has no network red',
  ]);
});

test('a host keeps what vservers are on, and takes the rest', () => {
  const onBlue = (network: { name: string }) => (network.name === 'blue' ? ['web1'] : []);
  const nobody = () => [];
  const before = read(blue, green);
  expect(settle(before, read(green), onBlue)).toEqual({
    networks: read(blue, green),
    leaving: [],
    held: [{ network: 'blue', vservers: ['web1'] }],
  });
  expect(settle(before, read(green), nobody)).toEqual({
    networks: read(green),
    leaving: read(blue),
    held: [],
  });
  const moved = read(blue.replace('eth1', 'eth2'), green);
  expect(settle(before, moved, onBlue).networks.find((one) => one.name === 'blue')?.uplink).toBe('eth1');
  expect(settle(before, moved, nobody)).toEqual({ networks: moved, leaving: read(blue), held: [] });
  // another network with the VLAN of one that has to stay waits for it
  const other = read('10:10.99.0.0/24::name=red,uplink=eth1', green);
  expect(settle(before, other, onBlue)).toEqual({
    networks: read(blue, green),
    leaving: [],
    held: [
      { network: 'blue', vservers: ['web1'] },
      { network: 'red', vservers: ['web1'] },
    ],
  });
  const gateway = read(blue.replace('10.1:', '10.2:'), green);
  expect(settle(before, gateway, onBlue)).toEqual({ networks: gateway, leaving: [], held: [] });
});

test('a smaller MTU waits for those that run, a larger one does not', () => {
  const of = (mtu: number) => read(`${blue},mtu=${mtu}`);
  const users = () => ['web1'];
  expect(settle(of(1500), of(1496), users).networks).toEqual(of(1500));
  expect(settle(of(1500), of(1496), () => []).networks).toEqual(of(1496));
  expect(settle(of(1500), of(9000), users)).toEqual({ networks: of(9000), leaving: [], held: [] });
});

test('who is on the way keeps a network up, and idle is what nobody used for long', () => {
  let now = 0;
  const arriving = openArriving(() => now);
  arriving.add('web1', ['blue']);
  expect(arriving.to('blue')).toEqual(['web1']);
  expect(arriving.to('green')).toEqual([]);
  arriving.drop('web1');
  expect(arriving.to('blue')).toEqual([]);
  arriving.add('web2', ['red', 'blue']);
  expect(arriving.to('red')).toEqual(['web2']);
  arriving.came('web2', 'red');
  expect([arriving.to('red'), arriving.to('blue')]).toEqual([[], ['web2']]);
  now = 3_700_000;
  expect(arriving.to('blue')).toEqual([]);
  expect(arriving.isIdle('blue', 1000)).toBe(false); // seen for the first time
  now += 999;
  expect(arriving.isIdle('blue', 1000)).toBe(false);
  now += 1;
  expect(arriving.isIdle('blue', 1000)).toBe(true);
  arriving.touch('blue');
  expect(arriving.isIdle('blue', 1000)).toBe(false);
  arriving.keep('blue', true);
  now += 10_000;
  expect(arriving.isIdle('blue', 1000)).toBe(false);
  arriving.keep('blue', false);
  expect(arriving.isIdle('blue', 1000)).toBe(true);
});

const link = (ifname: string, mtu: number, more: Partial<Link> = {}): [string, Link] => [
  ifname,
  { ifname, mtu, flags: ['UP'], ...more },
];
test('the uplink is raised first, and a device of the host is not taken', () => {
  const [jumbo] = read(`${blue},mtu=9000`);
  const steps = (uplink: [string, Link]) => planUp(jumbo!, new Map([uplink]), 9000).map((step) => step.do);
  expect(steps(link('eth1', 1500))).toEqual(['bridge', 'guard', 'uplink', 'vlan', 'port']);
  expect(steps(link('eth1', 9000))).toEqual(['bridge', 'guard', 'vlan', 'port']);
  expect(steps(link('eth1', 9216, { flags: [] }))).toContain('uplink');
  const [plain] = read(`${blue},untagged`);
  expect(cannotJoin(plain!, new Map([link('eth1', 1500)]), [])).toBeUndefined();
  expect(cannotJoin(plain!, new Map([link('eth1', 1500)]), ['192.0.2.1'])).toMatch(
    /has the address 192\.0\.2\.1/,
  );
  expect(cannotJoin(plain!, new Map([link('eth1', 1500, { master: 'br0' })]), [])).toMatch(/belongs to br0/);
  expect(
    cannotJoin(plain!, new Map([link('eth1', 1500, { master: 'vsbr10' })]), ['192.0.2.1']),
  ).toBeUndefined();
  expect(cannotJoin(jumbo!, new Map([link('eth1', 1500)]), ['192.0.2.1'])).toBeUndefined();
});

test('the largest packet that passes is found', async () => {
  const through = (real: number) => largest(9216, (size) => Promise.resolve(size <= real));
  for (const real of [9216, 9215, 1500, 1496, 1281, 1280]) expect(await through(real)).toBe(real);
  expect(await through(1279)).toBeUndefined();
});

test('devices are judged', () => {
  const [network] = read(`${blue},mtu=1500`);
  const device = (role: 'uplink' | 'vlan' | 'bridge' | 'vserver', more: object = {}) => ({
    device: role,
    role,
    there: true,
    up: true,
    carrier: true,
    mtu: 1500,
    ...more,
  });
  const judge = (guard: boolean, ...devices: ReturnType<typeof device>[]) =>
    judgeDevices({ network: network!, guard, devices }).map((one) => `${one.result} ${one.check}`);
  expect(judge(true, device('uplink'), device('vlan'), device('bridge'))).toEqual([
    'ok uplink',
    'ok vlan',
    'ok bridge',
    'ok guard',
  ]);
  expect(judge(false, device('bridge', { carrier: false }))).toEqual(['ok bridge', 'fail guard']);
  expect(judge(true, device('uplink', { there: false }), device('bridge'))).toEqual([
    'fail uplink',
    'ok bridge',
    'ok guard',
  ]);
  expect(judge(true, device('vlan', { mtu: 1496 }), device('bridge'))).toContain('fail vlan');
  expect(judge(true, device('uplink', { carrier: false }), device('bridge'))).toContain('fail uplink');
  // a network that is down has none of its devices, and that is no fault
  expect(
    judge(false, device('uplink'), device('vlan', { there: false }), device('bridge', { there: false })),
  ).toEqual(['ok uplink', 'ok vlan', 'ok bridge']);
});

test('networks of hosts and master together, and a host that does not answer', () => {
  const networks = read(blue);
  const [network] = networks;
  const told = { host: 'host1', state: 'online' as const, source: 'master' as const };
  const asked = [
    {
      told,
      networks: [{ network: { ...network!, mtu: 1500 }, up: true, bridge: 'vsbr10', vservers: ['web1'] }],
    },
    { told: { host: 'host2', state: 'offline' as const }, networks: [] },
  ];
  expect(merged({ networks, hosts: { host2: { mtu: 1496 } } }, asked, [web2, web1])).toEqual([
    {
      network,
      hosts: [
        { host: 'host1', up: true, uplink: 'eth1', mtu: 1500 },
        { host: 'host2', up: null, uplink: 'eth1', mtu: 1496 },
      ],
      vservers: [
        { name: 'web1', host: 'host1', state: 'running', address: '10.60.10.5' },
        { name: 'web2', host: 'host2', state: 'stopped', address: '10.60.10.6' },
      ],
    },
  ]);
});

const mapped = (count: number): Mapped => ({
  hosts: [
    { host: 'host1', state: 'online' },
    { host: 'host2', state: 'offline' },
  ],
  networks: [
    {
      network: read(blue)[0]!,
      hosts: [{ host: 'host1', up: true, uplink: 'eth1', mtu: 1500 }],
      vservers: Array.from({ length: count }, (_, index) => ({
        name: `a-name-of-some-length-${index}`,
        host: index % 2 ? 'host1' : 'host2',
        state: 'running',
        address: '10.60.10.5',
      })),
    },
  ],
});
test('the map fits into 80 columns and leaves nobody out', () => {
  const text = mapText(mapped(40));
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  for (let index = 0; index < 40; index++) expect(text).toContain(`a-name-of-some-length-${index} `);
  expect(text).toContain('host2  offline');
  expect(mapText({ hosts: [], networks: [] })).toMatch(/There is no network/);
});

test('what a map shows is escaped', () => {
  const evil = mapped(1);
  evil.networks[0]!.vservers[0]!.name = '<script>&"\u001b[31m';
  const svg = mapSvg(evil);
  expect(svg).toContain('&lt;script&gt;&amp;&quot;?[31m');
  expect(svg).not.toContain('<script');
  expect(svg).not.toContain('\u001b');
  expect(mapText(evil)).not.toContain('\u001b');
});

test('a check asks every host that is there, and the others ping the first', async () => {
  const asked: string[] = [];
  const examined = (mtu: number) => ({
    network: { ...read(`${blue},mtu=${mtu}`)[0]! },
    guard: true,
    devices: [],
  });
  const bus = {
    request: (host: string, command: string, args: { mtu?: number }) => {
      asked.push(`${host} ${command}${args.mtu ? ` ${args.mtu}` : ''}`);
      if (command === 'network.examine')
        return host === 'host4'
          ? Promise.reject(new Error('no nft'))
          : Promise.resolve(examined(host === 'host3' ? 1400 : 1500));
      if (command === 'network.echo') return Promise.resolve({ address: 'fe80::1' });
      return Promise.resolve({ passes: host === 'host2' ? 1500 : null });
    },
  };
  const hosts = ['host1', 'host2', 'host3', 'host4', 'host5'].map((host) => ({
    host,
    state: host === 'host5' ? ('offline' as const) : ('online' as const),
  }));
  const found = await checkNetwork({ bus } as never, 'blue', hosts);
  const words = found.map(({ host, findings }) =>
    [host, ...findings.map((one) => `${one.result} ${one.check}`)].join(' '),
  );
  expect(words).toEqual([
    'host1 warn mtu',
    'host2 warn mtu ok path',
    'host3 warn mtu fail path',
    'host4 fail host',
    'host5 warn host',
  ]);
  expect(asked.slice(4)).toEqual([
    'host1 network.echo',
    'host2 network.probe 1500',
    'host3 network.probe 1400',
  ]);
});

test('a network that only a further address is in, is used as well', () => {
  const state = {
    vserver: 'web1',
    host: 'host1',
    state: 'running' as const,
    network: 'blue',
    address: '10.60.10.5',
    enabled: true,
    epoch: 1,
    more: [
      { network: 'green', address: '10.60.20.5' },
      { network: 'blue', address6: 'fd60:10::6' },
    ],
  };
  const places = placesOf(state);
  expect(places.map((one) => `${one.network} ${one.address} ${one.state}`)).toEqual([
    'blue 10.60.10.5 running',
    'green 10.60.20.5 running',
    'blue fd60:10::6 running',
  ]);
  expect(placesOf({ ...state, state: 'unknown' })[1]?.state).toBe('unknown');
  const six = `${blue},net6=[fd60:10::/64]`;
  expect(planNetworks(wanted(six, green), wanted(six, green), places).inTheWay).toEqual([]);
  expect(planNetworks(wanted(six, green), wanted(six), places).inTheWay.join()).toMatch(
    /^green is used by web1 on host1:/,
  );
  expect(planNetworks(wanted(six, green), wanted(blue, green), places).inTheWay.join()).toMatch(
    /fd60:10::6 of web1 would be outside/,
  );
  const renamed = wanted(six.replace('eth1', 'eth3'), green);
  expect(planNetworks(wanted(six, green), renamed, places).inTheWay.join()).toMatch(
    /while web1 on host1 runs there/,
  );
});
