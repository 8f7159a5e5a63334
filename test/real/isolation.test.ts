import { afterAll, beforeAll, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { realLab } from './lab-kit.ts';

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

test('the host answers nothing on the bridge, neither its management address nor any other', () => {
  // with every capability, in the network of web1: only the host's guard is in the way
  const from = `nsenter -t ${init()} -n`;
  const asks = (address: string) => lab.on('host1', `${from} arping -c 2 -w 2 -f -I eth0 ${address}`, null);
  expect(asks(network.web2)).toMatch(/Received 1 response/);
  expect(asks('10.98.0.11')).toMatch(/Received 0 response/);
  expect(
    lab.on('host1', `${from} ip route add 10.98.0.0/24 dev eth0; ${from} ping -c 1 -W 1 10.98.0.11`, null),
  ).not.toMatch(/bytes from/);
  lab.on('host1', `${from} ip route del 10.98.0.0/24 dev eth0`);
  expect(lab.on('host1', 'ip -o addr show dev vsbr10')).toBe('');
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
