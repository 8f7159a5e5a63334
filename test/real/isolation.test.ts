import { afterAll, beforeAll, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { linkLocalOf, vethTable } from '../../services/network/rules.ts';
import { vethOf } from '../../shared/veth.ts';
import { realLab } from './lab-kit.ts';
import { type Station, frames } from './packets/frames.ts';
import { peersOf } from './packets/peers.ts';

// web1 tries to get out; web2 is its neighbour on the same bridge, web3 the one on the other host.
const lab = realLab('bciso');
const network = { web1: '10.60.10.5', web2: '10.60.10.6', web3: '10.60.10.7' };
const own6 = 'fd60:10::5';
const rootfs = '/var/lib/vservers/web1/rootfs';

const inside = (script: string, vserver = 'web1') =>
  lab.vs(['exec', vserver, '--', 'sh', '-c', script], null);
const init = (): string => lab.on('host1', 'lxc-info -P /var/lib/vservers -n web1 -p -H').trim();
/** Addresses, link and routes of web1 as the host sees them. */
const networkOf = (): string =>
  lab.on(
    'host1',
    `n="nsenter -t ${init()} -n"; $n ip -o addr | sed 's/valid_lft.*//'; $n ip -o link; $n ip route; $n ip -6 route`,
  );
/** Those of the commands that succeed in web1. */
function allowed(commands: string[]): string[] {
  const script = commands
    .map((command, index) => `(${command}) >/dev/null 2>&1 && echo "done: ${index}"`)
    .join('\n');
  const done = [...inside(`${script}\ntrue`).stdout.matchAll(/done: (\d+)/g)];
  return done.map((match) => commands[Number(match[1])] ?? '');
}
async function eventually(look: () => boolean): Promise<boolean> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(200)) if (look()) return true;
  return false;
}

beforeAll(() => {
  lab.up();
  const create = { name: 'web1', address: network.web1, source: 'busybox', host: 'host1' };
  const wanted = { ...create, limits: { procs: 300 }, start: true, wait: true };
  lab.vs(['call', 'master', 'orchestrator.create', JSON.stringify(wanted)]);
  lab.vs(['create', 'web2', network.web2, 'busybox', '--host', 'host1', '--start']);
  lab.vs(['create', 'web3', network.web3, 'busybox', '--host', 'host2', '--start']);
  // the tools of an attacker: the host's own nft and perl, with their libraries
  lab.on(
    'host1',
    `for f in /usr/sbin/nft /usr/bin/perl $(ldd /usr/sbin/nft /usr/bin/perl | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do
  mkdir -p ${rootfs}$(dirname $f); cp -L $f ${rootfs}$f
done; mkdir -p ${rootfs}/mnt`,
  );
  lab.vs(['exec', 'web1', '--', 'sh', '-c', 'nft --version && perl -e 1']);
});
afterAll(() => lab.down());

test('vservers of one network reach one another, on one host and across hosts, IPv4 and IPv6', async () => {
  for (const [from, to] of [
    ['web1', 'web2'],
    ['web1', 'web3'],
    ['web3', 'web1'],
  ] as const) {
    const six = `[fd60:10::${network[to].split('.')[3]}]`;
    for (const address of [network[to], six]) {
      const page = () => inside(`timeout 3 wget -q -O - http://${address}/`, from).stdout;
      expect(await eventually(() => page() === `${to}\n`), `${from} reaches ${to} at ${address}`).toBe(true);
    }
  }
});

test('root of a vserver is nobody on the host, and its files on disk are those of root', () => {
  expect(lab.on('host1', `stat -c '%u:%g' /proc/${init()}`)).toBe('100000:100000\n');
  expect(inside('tr -s " " < /proc/self/uid_map; id -u').stdout).toBe(' 0 100000 65536\n0\n');
  inside('echo x > /root/mine; chown 5:6 /root/mine');
  expect(lab.on('host1', `stat -c '%u:%g' ${rootfs} ${rootfs}/root/mine`)).toBe('0:0\n5:6\n');
  const host = inside('ls -d /var/lib/vservers /etc/vs-tools /run/vs; grep -c vservers /proc/self/mountinfo');
  expect(host.stdout).toBe('0\n');
  expect(inside('ps').stdout).not.toMatch(/lxc|node|init\.pl/);
});

test('a plain user of the host sees nothing of a vserver', () => {
  lab.on('host1', `echo secret > ${rootfs}/root/secret; ls /run/vs/web1/root/secret`);
  const nobody = 'setpriv --reuid 65534 --regid 65534 --clear-groups';
  const seen = lab.on(
    'host1',
    `for d in ${rootfs} /run/vs/web1; do ${nobody} cat $d/root/secret; ${nobody} ls $d; done`,
    null,
  );
  expect(seen).toBe('');
});

test('it cannot change its addresses, its MAC, its link or its routes', () => {
  const before = networkOf();
  expect(before).toContain(`${network.web1}/24`);
  const commands = [
    'ip addr add 10.60.10.77/24 dev eth0',
    `ip addr del ${network.web1}/24 dev eth0`,
    'ip addr add fd60:10::77/64 dev eth0',
    'ip link set eth0 address 02:00:00:00:00:01',
    'ifconfig eth0 hw ether 02:00:00:00:00:01',
    'ip link set eth0 down',
    'ip link set eth0 mtu 1400',
    'ip route add 10.98.0.0/24 dev eth0',
    'ip route del default',
    'ip link add name br0 type bridge',
    'ip neigh add 10.60.10.1 lladdr 02:00:00:00:00:02 dev eth0',
  ];
  const nested = commands.map((command) => `unshare -r ${command}`); // as root of a user namespace in it
  expect(allowed([...commands, ...nested])).toEqual([]);
  // in a network namespace of its own, also nested, it may do all this: nothing of it leads out
  const within = 'ip link set lo up; ip addr add 10.60.10.6/24 dev lo; nft flush ruleset';
  for (const space of ['unshare -r -n', 'unshare -r unshare -r -n']) {
    inside(
      `${space} sh -c '${within}; ip link set eth0 netns 1; wget -T 2 -O - http://10.60.10.7/ && echo out'`,
    );
    expect(
      inside(`${space} sh -c 'ip -o link | grep -c eth0; timeout 3 wget -q -O - http://10.60.10.7/'`).stdout,
    ).toBe('0\n');
  }
  // and into that of another process it cannot take its link, nor come back with more rights
  expect(
    allowed([
      'unshare -r -n sleep 5 & sleep 1; ip link set eth0 netns $!',
      'unshare -r nsenter -t 1 -n ip addr add 10.60.10.77/24 dev eth0',
    ]),
  ).toEqual([]);
  expect(networkOf()).toBe(before);
});

test('it cannot see or set rules, nor send raw packets', () => {
  const commands = [
    'nft add table inet mine',
    'nft flush ruleset',
    'nft list ruleset',
    `perl -e 'socket(S, 17, 3, 0x300) or exit 1'`, // AF_PACKET, SOCK_RAW
    `perl -e 'socket(S, 17, 2, 0x300) or exit 1'`, // AF_PACKET, SOCK_DGRAM
    `perl -e 'socket(S, 2, 3, 1) or exit 1'`, // AF_INET, SOCK_RAW, ICMP
    `perl -e 'socket(S, 10, 3, 58) or exit 1'`, // the same of IPv6
    'arping -c 1 -w 1 -I eth0 10.60.10.6',
  ];
  expect(allowed([...commands, ...commands.map((command) => `unshare -r ${command}`)])).toEqual([]);
});

test('what it sends from a foreign address does not leave it, whatever it binds to', () => {
  // IPV6_FREEBIND needs no capability: a datagram may name any source. The kernel itself refuses the foreign IPv4 ones.
  lab.on(
    'host1',
    `cp /usr/bin/perl /var/lib/vservers/web2/rootfs/bin/; cd ${rootfs}; tar -cf - lib* usr/lib* 2>/dev/null | tar -xf - -C /var/lib/vservers/web2/rootfs`,
  );
  const hear = `perl -e 'socket(S, 10, 2, 0) or die; bind(S, pack("S n N a16 N", 10, 9999, 0, "\\0" x 16, 0)) or die "bind: $!";
$SIG{ALRM} = sub { exit }; alarm 15; $| = 1; open(F, ">", "/heard"); select(F); $| = 1;
while (recv(S, my $text, 99, 0)) { print "$text\\n"; last if $text eq "end" }'`;
  inside(`${hear} >/dev/null 2>&1 &`, 'web2');
  const send = (from: string, text: string) => {
    const six = from.includes(':');
    const address = (one: string, port: number) =>
      six
        ? `pack("S n N H32 N", 10, ${port}, 0, "fd60001000000000000000000000${one.split('::')[1]?.padStart(4, '0')}", 0)`
        : `pack("S n C4 x8", 2, ${port}, ${one.replaceAll('.', ', ')})`;
    const option = six ? '41, 78' : '0, 15';
    return `perl -e 'socket(S, ${six ? 10 : 2}, 2, 0) or die; setsockopt(S, ${option}, pack("i", 1)) or die "freebind: $!";
bind(S, ${address(from, 0)}) or die "bind: $!"; send(S, "${text}", 0, ${address(six ? 'fd60:10::6' : network.web2, 9999)}) // die "send: $!"'`;
  };
  const sent = inside(
    [
      'sleep 1',
      send(network.web1, 'own 4'),
      send(own6, 'own 6'),
      send('10.60.10.99', 'foreign 4'),
      send(network.web3, 'neighbour 4'),
      send('fd60:10::99', 'foreign 6'),
      'sleep 1',
      send(network.web1, 'end'),
    ].join('; '),
  );
  expect(sent.code, sent.stderr).toBe(0);
  expect(inside('sleep 1; cat /heard', 'web2').stdout.trim().split('\n').sort()).toEqual([
    'end',
    'own 4',
    'own 6',
  ]);
});

const peers = peersOf(lab);
const macOf = (host: string, device: string, prefix = ''): string =>
  /ether (\S+)/.exec(lab.on(host, `${prefix} ip -o link show ${device}`))?.[1] ?? '';
const station = (mac: string, last: number): Station => ({
  mac,
  4: `10.60.10.${last}`,
  6: `fd60:10::${last}`,
  link: linkLocalOf(mac),
});
type Captured = { frames: [device: string, type: number, hex: string][] };

test('of the frames that its network can carry, those of its own name pass, and no others', async () => {
  const macIn = (vserver: string, host: string) =>
    macOf(host, 'eth0', `nsenter -t ${peers.initOf(host, vserver)} -n`);
  const all = frames(station(macIn('web1', 'host1'), 5), station(macIn('web2', 'host1'), 6), {
    ...station(macOf('router', 'blue'), 1),
  });
  const [from, beside, across, wire] = [
    peers.inVserver('host1', 'web1'),
    peers.inVserver('host1', 'web2'),
    peers.inVserver('host2', 'web3'),
    peers.inNode('host1'),
  ];
  /** The names of those that came to the neighbour, to the other host, and to the uplink. */
  async function seen(): Promise<{ neighbour: string[]; elsewhere: string[] }> {
    await Promise.all([beside.ask({ capture: ['eth0'] }), across.ask({ capture: ['eth0'] })]);
    await wire.ask({ capture: ['eth1', 'vsbr10'] });
    await from.ask({ frames: all.map((frame) => frame.hex) });
    await sleep(500);
    const [near, far, out] = await Promise.all(
      [beside, across, wire].map((peer) => peer.ask<Captured>({ captured: true })),
    );
    const among = (...captured: (Captured | undefined)[]): string[] =>
      all
        .filter(({ mark }) => captured.some((one) => one?.frames.some(([, , hex]) => hex.includes(mark))))
        .map((frame) => frame.name);
    return { neighbour: among(near), elsewhere: among(far, out) };
  }
  const own = all.filter((frame) => frame.expected === 'pass').map((frame) => frame.name);
  const strict = await seen();
  expect(strict.neighbour).toEqual(own);
  expect(strict.elsewhere.filter((name) => !own.includes(name))).toEqual([]);
  expect(strict.elsewhere).toContain('own IPv4 to everybody');
  // without the rules at its wire each of them comes to the neighbour: it is they that drop it
  const table = `netdev ${vethTable(vethOf('web1'))}`;
  lab.on('host1', `nft delete table ${table}`);
  const free = await seen();
  lab.on('host1', 'nft -f /var/lib/vs-tools/rules/web1/host.nft');
  peers.inside('host1', 'web2', `ping -c 1 ${network.web3}`); // the bridges know its MAC again
  expect(all.map((frame) => frame.name).filter((name) => !free.neighbour.includes(name))).toEqual([]);
  expect((await seen()).neighbour).toEqual(own);
  await Promise.all([from, beside, across, wire].map((peer) => peer.end()));
});

test('the host answers nothing on the bridge, neither its management address nor any other', () => {
  // with every capability, in the network of web1: only the host's guard is in the way
  const from = `nsenter -t ${init()} -n`;
  const asks = (address: string) => lab.on('host1', `${from} arping -c 2 -w 2 -f -I eth0 ${address}`, null);
  expect(asks(network.web2)).toMatch(/Received 1 response/);
  expect(asks('10.98.0.11')).toMatch(/Received 0 response/);
  const inside1 = (script: string) => peers.inside('host1', 'web1', script);
  const management = ['10.98.0.11', '10.98.0.12', '10.98.0.1'];
  const pings = (): string =>
    inside1(`${management.map((address) => `ping -c 1 -W 1 ${address} &`).join(' ')} wait`);
  expect(pings()).not.toMatch(/bytes from 10\.98/); // by its own gateway: the router knows no way there
  // directly, to the MAC of the bridge, of the uplink and of the host's end of its wire, without asking for it
  inside1('ip route add 10.98.0.0/24 dev eth0');
  const echoes = () => lab.on('host1', `awk '/^IcmpMsg/ { print }' /proc/net/snmp`);
  const before = echoes();
  for (const device of ['vsbr10', 'eth1', vethOf('web1')]) {
    const mac = macOf('host1', device);
    inside1(management.map((address) => `ip neigh replace ${address} lladdr ${mac} dev eth0`).join('\n'));
    expect(pings(), device).not.toMatch(/bytes from/);
    // ssh of the host, the broker of the master
    const connect = ['10.98.0.11/22', '10.98.0.1/8883'].map(
      (at) => `(timeout 1 bash -c "exec 3<>/dev/tcp/${at}"; echo "exit $?") &`,
    );
    expect(inside1(`${connect.join(' ')} wait`), device).toBe('exit 124\nexit 124\n');
  }
  expect(echoes()).toBe(before);
  inside1('ip route del 10.98.0.0/24 dev eth0; ip neigh flush dev eth0');
  expect(lab.on('host1', 'ip -o addr show dev vsbr10; ip -o addr show dev eth1')).toBe('');
});

test('nothing of the host leaves by the bridge of its vservers, even when its routes lead there', async () => {
  const [wire, guest] = [peers.inNode('host1'), peers.inVserver('host1', 'web2')];
  await wire.ask({ capture: ['vsbr10', 'eth1'] });
  await guest.ask({ capture: ['eth0'] });
  lab.on(
    'host1',
    'ip route add 10.60.10.0/24 dev vsbr10; ip route add 10.60.20.0/24 via 10.60.10.1 dev vsbr10 onlink',
  );
  const [four, six] = [
    ['10.60.10.6', '10.60.10.7', '10.60.10.1', '10.60.20.1'],
    ['fd60:10::6', 'fe80::1%vsbr10', 'ff02::1%vsbr10'],
  ];
  const pings = [
    ...four.map((one) => `ping -c 1 -W 1 ${one}`),
    ...six.map((one) => `ping -6 -c 1 -W 1 ${one}`),
  ];
  expect(lab.on('host1', `${pings.join(' & ')} & wait`)).not.toMatch(/bytes from/);
  lab.on('host1', 'arping -c 1 -w 1 -I vsbr10 10.60.10.6', null);
  const page = inside(`timeout 3 wget -q -O - http://${network.web3}/`, 'web2').stdout;
  expect(page).toBe('web3\n'); // the capture sees what passes
  const [out, at] = [
    await wire.ask<Captured>({ captured: true }),
    await guest.ask<Captured>({ captured: true }),
  ];
  lab.on('host1', 'ip route del 10.60.10.0/24; ip route del 10.60.20.0/24', null);
  const macs = ['vsbr10', 'eth1', 'eth0'].map((device) => macOf('host1', device).replaceAll(':', ''));
  const ofHost = [...out.frames, ...at.frames].filter(([, , hex]) => macs.includes(hex.slice(12, 24)));
  expect(out.frames.length + at.frames.length).toBeGreaterThan(5);
  expect(ofHost).toEqual([]);
  await Promise.all([wire.end(), guest.end()]);
});

test('from the moment that a wire or a bridge is made the host says nothing there', async () => {
  lab.vs(['stop', 'web2']);
  // its uplink, a whole device, is the host's own until its network was up once
  lab.vs(['net', 'up', 'green', '--host', 'host1']);
  lab.vs(['net', 'down', 'green', '--host', 'host1']);
  const all = peers.inNode('host1');
  await all.ask({ capture: ['*'] }); // also what comes to be
  lab.vs(['start', 'web2']);
  lab.vs(['net', 'up', 'green', '--host', 'host1']);
  await sleep(3000); // detection, router solicitations and listener reports of IPv6 come within 2 s
  const { frames: seen } = await all.ask<Captured>({ captured: true });
  await all.end();
  const from = (mac: string) => seen.filter(([, , hex]) => hex.slice(12, 24) === mac.replaceAll(':', ''));
  const guest = (JSON.parse(lab.vs(['address', 'list', 'web2', '--json']).stdout) as { mac: string }[])[0]
    ?.mac;
  expect(from(guest ?? '').length).toBeGreaterThan(0); // the capture sees what passes
  for (const device of [vethOf('web2'), 'vsbr20'])
    expect({ device, frames: from(macOf('host1', device)) }).toEqual({ device, frames: [] });
});

test('it cannot reach the kernel: sysrq, sysctl, devices, the clock, its own limits', () => {
  const pids = `cat $(ls -d /sys/fs/cgroup/pids$(awk -F: '$2 == "pids" { print $3 }' /proc/${init()}/cgroup)/pids.max /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${init()}/cgroup)/pids.max 2>/dev/null | head -1)`;
  expect(lab.on('host1', pids)).toBe('300\n');
  expect(
    allowed([
      'echo h > /proc/sysrq-trigger',
      'mount -t proc proc /mnt && echo h > /mnt/sysrq-trigger',
      'v=$(cat /proc/sys/kernel/panic); echo $v > /proc/sys/kernel/panic',
      'mount -o remount,rw /proc/sys; v=$(cat /proc/sys/kernel/panic); echo $v > /proc/sys/kernel/panic',
      'mount -o remount,rw /proc/sys; v=$(cat /proc/sys/vm/swappiness); echo $v > /proc/sys/vm/swappiness',
      'mount -o remount,rw /proc/sys; v=$(cat /proc/sys/kernel/core_pattern); echo "$v" > /proc/sys/kernel/core_pattern',
      'mknod /tmp/disk b 7 0',
      'mknod /dev/mem c 1 1',
      'mount -t devtmpfs none /mnt',
      '! date -s @$(date +%s) 2>&1 | grep -q set',
      'insmod /bin/busybox',
      'mount -t cgroup -o pids none /mnt && echo max > /mnt/pids.max',
      'mount -t cgroup2 none /mnt && echo max > /mnt/pids.max',
    ]),
  ).toEqual([]);
  expect(lab.on('host1', pids)).toBe('300\n');
  expect(inside('find /dev -type b; find /dev -path /dev/pts -prune -o -type c -print | sort').stdout).toBe(
    '/dev/console\n/dev/full\n/dev/null\n/dev/ptmx\n/dev/random\n/dev/tty\n/dev/urandom\n/dev/zero\n',
  );
  // its terminals are those of its own devpts: it sees none of the host
  const terminals = 'stat -c %d /dev/pts';
  expect(inside(terminals).stdout).not.toBe(lab.on('host1', terminals));
});

test('device nodes that came with its tree are dead', () => {
  const nodes = `cd ${rootfs}; l=$(losetup -n -O MAJ:MIN -j /run/vslab-node/data/disk.img | head -1)
mknod -m 666 disk b $(echo $l | tr : ' '); mknod -m 666 null c 1 3; mknod -m 666 mem c 1 1`;
  lab.on('host1', nodes);
  expect(
    allowed([
      'dd if=/disk of=/dev/null bs=4096 count=1',
      'dd if=/dev/null of=/disk conv=notrunc',
      'echo x > /null',
      'dd if=/mem of=/dev/null bs=1 count=1',
    ]),
  ).toEqual([]);
});
