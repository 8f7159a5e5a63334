import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Data } from '../../shared/contract/commands.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('netverbs');
type Listed = Data<'networks.list'>;
const list = () => JSON.parse(lab.vs(['net', 'list', '--json']).stdout) as Listed;
/** For a wait: while the master does not answer it is not so. */
const lists = (isSo: (listed: Listed) => boolean) => {
  const { stdout, code } = lab.vs(['net', 'list', '--json'], null);
  return code === 0 && isSo(JSON.parse(stdout) as Listed);
};
const conf = () => lab.on('master', 'cat /etc/vs-tools/networks.conf');
const isUp = (host: string, bridge: string) =>
  lab.on(host, `test -d /sys/class/net/${bridge} && echo yes || echo no`).trim() === 'yes';
const mtuOf = (host: string, device: string) => Number(lab.on(host, `cat /sys/class/net/${device}/mtu`));
const veth = (host: string) => lab.on(host, 'ls /sys/class/net/vsbr10/brif | grep ^vsv').trim();
/** Inside the network of a vserver, with the tools of its host. */
const inside = (host: string, name: string, command: string, expected: number | null = 0) =>
  lab.on(host, `nsenter -t $(lxc-info -P /var/lib/vservers -n ${name} -p -H) -n ${command}`, expected);
const create = (name: string, address: string, host: string) =>
  lab.vs(['create', name, address, 'busybox', '--host', host, '--start', '--yes']);

async function within(ms: number, isSo: () => boolean): Promise<void> {
  const end = Date.now() + ms;
  while (!isSo()) {
    if (Date.now() > end) throw new Error('it did not become so');
    await sleep(500);
  }
}

beforeAll(() => {
  lab.up('--hosts', '2');
});
afterAll(() => lab.down());

test('hosts have their own networks.conf until the one of the master is applied', () => {
  expect(lab.vs(['net', 'list']).stdout).toMatch(/blue +10 [^]*Each host has its own networks\.conf/);
  expect(lab.vs(['net', 'apply', '--dry-run']).stdout).toMatch(
    /blue: from now on by the master[^]*Nothing was changed/,
  );
  expect(list().version).toBeUndefined();
  expect(lab.vs(['net', 'apply']).stdout).toMatch(/Taken by host1, host2/);
  const now = list();
  expect(now.hosts).toEqual(
    ['host1', 'host2'].map((host) => ({
      host,
      state: 'online',
      source: 'master',
      version: now.version,
      held: [],
    })),
  );
  expect(lab.vs(['net', 'apply']).stdout).toMatch(/Nothing is different/);
  expect(list().version).toBe(now.version);
});

test('a network is added, used at once, and kept while anybody uses it', async () => {
  const done = lab.vs(
    'net add 30 10.60.30.0/24 10.60.30.1 --name red --net6 fd60:30::/64 --gw6 fd60:30::1 --uplink none --mtu 1400 --nameserver 10.60.30.2,fd60:30::2'.split(
      ' ',
    ),
  );
  expect(done.stdout).toMatch(/red: new\nTaken by host1, host2/);
  expect(conf()).toContain(
    '30:10.60.30.0/24:10.60.30.1:10.60.30.2 [fd60:30::2]:name=red,net6=[fd60:30::/64],gw6=[fd60:30::1],uplink=none,mtu=1400\n',
  );
  create('web3', '10.60.30.5', 'host1');
  expect(lab.vs(['net', 'show', 'red']).stdout).toMatch(
    /host1 +up +none +1400[^]*host2 +down[^]*web3 +host1 +running/,
  );
  expect(inside('host1', 'web3', 'ip link show eth0')).toContain('mtu 1400');
  const before = conf();
  expect(lab.vs(['net', 'remove', 'red'], 1).stderr).toMatch(/red is used by web3 on host1/);
  lab.vs(['stop', 'web3']);
  expect(lab.vs(['net', 'remove', 'red'], 1).stderr).toMatch(/web3 on host1 \(stopped\)/);
  expect(conf()).toBe(before);
  lab.vs(['remove', 'web3', '--yes']);
  expect(lab.vs(['net', 'remove', 'red']).stdout).toMatch(/red: removed/);
  expect(conf()).not.toContain('red');
  await within(10_000, () => !isUp('host1', 'vsbr30'));
  expect(lab.vs(['net', 'show', 'red'], 1).stderr).toMatch(/There is no network red; there are blue, green/);
});

test('a fault changes nothing, and is named by file and line', () => {
  const before = conf();
  const { version } = list();
  expect(lab.vs(['net', 'add', '10', '10.70.0.0/24', '--name', 'red'], 2).stderr).toMatch(
    /the network cannot be: VLAN 10 is network blue already/,
  );
  expect(lab.vs(['net', 'add', '31', '10.60.10.0/25', '--name', 'red'], 2).stderr).toMatch(/overlaps/);
  expect(lab.vs(['net', 'add', '31', '10.70.0.0/24', '10.71.0.1'], 2).stderr).toMatch(
    /is not in 10\.70\.0\.0/,
  );
  expect(lab.vs(['net', 'add', 'x', '10.70.0.0/24'], 2).stderr).toMatch(/A VLAN is a whole number/);
  lab.on('master', 'echo "nonsense" >> /etc/vs-tools/networks.conf');
  expect(lab.vs(['net', 'apply'], 2).stderr).toMatch(/networks\.conf:3:1: expected vlan/);
  expect(lab.vs(['net', 'list']).stdout).toMatch(/cannot be applied: .*networks\.conf:3/);
  lab.on('master', 'sed -i /nonsense/d /etc/vs-tools/networks.conf');
  expect(conf()).toBe(before);
  expect(list().version).toBe(version);
});

test('up, down, and who answers', () => {
  create('web1', '10.60.10.5', 'host1');
  create('web2', '10.60.10.6', 'host2');
  expect(lab.vs(['net', 'down', 'blue', '--host', 'host1'], 1).stderr).toMatch(
    /blue stays up on host1: web1 is on it/,
  );
  lab.vs(['net', 'up', 'green', '--host', 'host1']);
  expect(isUp('host1', 'vsbr20')).toBe(true);
  expect(lab.vs(['net', 'down', 'green', '--host', 'host1']).stdout).toMatch(/green is down on host1/);
  expect(isUp('host1', 'vsbr20')).toBe(false);
  expect(lab.vs(['net', 'down', 'green', '--host', 'host1']).stdout).toMatch(/was not up/);
  expect(lab.vs(['net', 'check', '10.60.10.5'], 1).stdout).toMatch(/answers on blue, from .*web1/);
  expect(lab.vs(['net', 'check', '10.60.10.77']).stdout).toMatch(/Nobody answers/);
  expect(lab.vs(['net', 'check', '192.0.2.1'], 1).stderr).toMatch(/is in no network/);
  expect(lab.vs(['net', 'check', 'blue']).stdout).toMatch(
    /host2: ok +path +packets of 1500 bytes pass whole to host1/,
  );
  expect(lab.vs(['net', 'down', 'nosuch', '--host', 'host1'], 1).stderr).toMatch(
    /host1 has no network nosuch/,
  );
});

test('what would hurt vservers that run is refused with their names', () => {
  const edit = (script: string) => lab.on('master', `sed -i '${script}' /etc/vs-tools/networks.conf`);
  const before = conf();
  edit('s/uplink=eth1/uplink=eth3/');
  expect(lab.vs(['net', 'apply'], 1).stderr).toMatch(
    /blue: another wire, while web1 on host1 .*web2 on host2/,
  );
  edit('s/uplink=eth3/uplink=eth1,mtu=1496/');
  expect(lab.vs(['net', 'apply'], 1).stderr).toMatch(/blue: MTU 1500 -> 1496, while web1 on host1/);
  edit('s/,mtu=1496//');
  edit('s/10.60.10.0.24/10.60.10.0\\/30/;s/name=blue/name=blue/');
  expect(lab.vs(['net', 'apply'], 1).stderr).toMatch(
    /10\.60\.10\.5 of web1, 10\.60\.10\.6 of web2 would be outside/,
  );
  edit('s/10.60.10.0.30/10.60.10.0\\/24/');
  expect(conf()).toBe(before);
  edit('s/10.60.10.1:10.60.10.1/10.60.10.254:10.60.10.1/');
  expect(lab.vs(['net', 'apply']).stdout).toMatch(
    /gateway 10\.60\.10\.1 -> 10\.60\.10\.254, at the next start.*web1, web2/,
  );
  expect(inside('host1', 'web1', 'ip route')).toContain('via 10.60.10.1 ');
  lab.vs(['restart', 'web1']);
  expect(inside('host1', 'web1', 'ip route')).toContain('via 10.60.10.254 ');
  edit('s/10.60.10.254/10.60.10.1/');
  lab.vs(['net', 'apply']);
});

test('MTU 1496 from end to end', () => {
  lab.vs(['stop', 'web1', 'web2']);
  lab.on('master', "sed -i 's/uplink=eth1/uplink=eth1,mtu=1496/' /etc/vs-tools/networks.conf");
  expect(lab.vs(['net', 'apply']).stdout).toMatch(/blue: MTU the host's -> 1496/);
  lab.vs(['start', 'web1', 'web2']);
  for (const host of ['host1', 'host2'])
    for (const device of ['vsbr10', 'eth1', veth(host)])
      expect([device, mtuOf(host, device)]).toEqual([device, 1496]);
  const ping = (size: number) => `ping -n -M do -c 2 -W 1 -s ${size} 10.60.10.6`;
  expect(inside('host1', 'web1', ping(1468))).toMatch(/ 0% packet loss/);
  expect(inside('host1', 'web1', ping(1469), null)).not.toMatch(/ 0% packet loss/);
  expect(lab.vs(['net', 'check', 'blue']).stdout).toMatch(/packets of 1496 bytes pass whole/);
});

test('a wire that takes less than the network is found, with what it takes', () => {
  lab.on('host2', 'ip link set eth1 mtu 1400');
  const { stdout } = lab.vs(['net', 'check', 'blue'], 1);
  expect(stdout).toMatch(/host2: fail uplink +eth1 takes packets of 1400 bytes, the network has 1496/);
  lab.vs(['net', 'up', 'blue', '--host', 'host2']);
  expect(mtuOf('host2', 'eth1')).toBe(1496);
  lab.vs(['net', 'check', 'blue']);
});

test('one host can do less than the others', () => {
  lab.vs(['stop', 'web2']);
  lab.on('master', 'sed -i s/^host2.*/host2:mtu=1400/ /etc/vs-tools/slaves.conf');
  expect(lab.vs(['net', 'apply']).stdout).toMatch(/host2: MTU 1496 -> 1400/);
  lab.vs(['start', 'web2']);
  expect(mtuOf('host2', veth('host2'))).toBe(1400);
  expect(mtuOf('host1', veth('host1'))).toBe(1496);
  expect(lab.vs(['net', 'check', 'blue']).stdout).toMatch(
    /warn mtu +its MTU is 1400, other hosts have another/,
  );
  expect(lab.vs(['net', 'list']).stdout).toMatch(/blue .* 1400-1496 /);
});

test('a device that has an address of the host is not taken from it', () => {
  expect(
    lab.vs(['net', 'add', '40', '10.60.40.0/24', '--name', 'own', '--uplink', 'eth0', '--untagged']).stdout,
  ).toMatch(/own: new/);
  expect(lab.vs(['net', 'up', 'own', '--host', 'host1'], 1).stderr).toMatch(
    /eth0 has the address 10\.98\.0\.11.* which it would lose/,
  );
  expect(lab.vs(['net', 'remove', 'own']).stdout).toMatch(/own: removed/);
  expect(lab.on('host1', 'ip -4 address show dev eth0')).toContain('10.98.0.11');
});

test('the map shows all of it, as text and as a picture', () => {
  const { stdout } = lab.vs(['net', 'map']);
  for (const word of [
    'blue',
    'green',
    'host1',
    'host2',
    'web1 10.60.10.5',
    'web2 10.60.10.6',
    'fd60:10::/64',
  ])
    expect(stdout).toContain(word);
  expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  const file = join(tmpdir(), `vslab-map-${process.pid}.svg`);
  lab.vs(['net', 'map', '--svg', file]);
  expect(existsSync(file)).toBe(true);
  for (const word of ['<svg', 'blue', 'host2', 'web1', '10.60.10.6'])
    expect(readFileSync(file, 'utf8')).toContain(word);
  rmSync(file);
});

test('a host boots with its networks when the master is gone', async () => {
  lab.vs(['enable', 'web1']);
  // its own file says nothing any more: what counts is what the master told
  lab.vs(['lab', 'kill', 'master', '--name', lab.name]);
  lab.vs(['lab', 'kill', 'host1', '--name', lab.name]);
  lab.vs(['lab', 'boot', 'host1', '--name', lab.name], null);
  await within(60_000, () => lab.running('web1').includes('host1'));
  expect(mtuOf('host1', 'vsbr10')).toBe(1496); // which its networks.conf does not say
  lab.vs(['lab', 'boot', 'master', '--name', lab.name]);
  await lab.masterIsBack();
  for (const host of ['host1', 'host2']) await lab.agentIsBack(host);
});

test('a host that was away takes the newest version when it is back', async () => {
  lab.vs(['lab', 'kill', 'host2', '--name', lab.name]);
  await within(60_000, () =>
    lists(({ hosts }) => hosts.some((one) => one.host === 'host2' && one.state === 'offline')),
  );
  expect(lab.vs(['net', 'add', '50', '10.60.50.0/24', '--name', 'late', '--uplink', 'none']).stdout).toMatch(
    /Taken by host1\.[^]*host2 is offline, and takes the networks when it is back/,
  );
  lab.vs(['lab', 'boot', 'host2', '--name', lab.name]);
  await within(60_000, () => lists(({ hosts, version }) => hosts.every((one) => one.version === version)));
  expect(list().networks.find(({ network }) => network.name === 'late')?.hosts).toHaveLength(2);
});

test('a network goes when its last vserver has ended by itself', async () => {
  lab.vs(['disable', 'web1']);
  expect(isUp('host1', 'vsbr10')).toBe(true);
  inside('host1', 'web1', '-a poweroff -f', null);
  lab.on('host1', 'lxc-stop -P /var/lib/vservers -n web1 -k', null);
  await within(200_000, () => !isUp('host1', 'vsbr10'));
  lab.vs(['start', 'web1']);
  expect(isUp('host1', 'vsbr10')).toBe(true);
});

test('a larger MTU comes at once, and who runs goes on until its next start', () => {
  lab.on(
    'master',
    String.raw`sed -i 's/\(uplink=eth1\)\(,mtu=[0-9]*\)*/\1,mtu=1600/' /etc/vs-tools/networks.conf`,
  );
  expect(lab.vs(['net', 'apply']).stdout).toMatch(
    /blue: .*MTU .* -> 1600; until they restart, as before: .*web1/,
  );
  expect([mtuOf('host1', 'vsbr10'), mtuOf('host1', 'eth1')]).toEqual([1600, 1600]);
  expect(inside('host1', 'web1', 'ip link show eth0')).not.toContain('mtu 1600');
  lab.vs(['restart', 'web1']);
  expect(inside('host1', 'web1', 'ip link show eth0')).toContain('mtu 1600');
});
