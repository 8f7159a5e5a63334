import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile } from '../../services/firewall/compile.ts';
import { parseFirewall } from '../../services/firewall/parse.ts';
import { realLab } from './lab-kit.ts';
import { type Peer, peersOf } from './packets/peers.ts';
import {
  type Place,
  type Row,
  firewalls,
  listeners,
  orderOf,
  places,
  printed,
  table,
} from './packets/table.ts';

const lab = realLab('bcpkt');
const peers = peersOf(lab);
const names = Object.keys(places) as Place[];
const guests = names.filter((name) => name !== 'prober');
const hostOf = new Map<Place, string>(guests.map((name) => [name, places[name].host]));
const home = (name: Place): string => hostOf.get(name) ?? 'host1';
const open: Peer[] = [];
function peerAt(place: Place): Peer {
  const peer = place === 'prober' ? peers.inNode('prober') : peers.inVserver(home(place), place);
  open.push(peer);
  return peer;
}
const endPeers = () => Promise.all(open.splice(0).map((peer) => peer.end()));
const execute = promisify(execFile);
/** `vs` beside others that run. */
const vs = (args: string[]) => execute(lab.cli, args, { env: lab.environment, timeout: 120_000 });
const firewallOf = (name: Place): string => `/var/lib/vservers/${name}/firewall.conf`;
/** A command in the network of a vserver, by root of its host. */
const inside = (name: Place, script: string): string => peers.inside(home(name), name, script);
const rulesOf = (name: Place): string => `/var/lib/vs-tools/rules/${name}/guest.nft`;

/** Sends every row of the table; answers what became of each. */
async function send(rows: Row[] = table): Promise<Map<Row, string>> {
  const at = new Map(names.map((place) => [place, peerAt(place)]));
  try {
    await Promise.all([...at].map(([place, peer]) => peer.ask({ serve: listeners(place) })));
    const numbered = rows.map((row, index) => ({ row, id: `row${index}` }));
    const outcomes = await Promise.all(
      [...at].map(async ([place, peer]) => {
        const cases = numbered.filter(({ row }) => row.from === place).map(({ row, id }) => orderOf(row, id));
        return cases.length === 0 ? {} : peer.ask<Record<string, string>>({ cases, seconds: 2.5 });
      }),
    );
    const all: Record<string, string> = Object.assign({}, ...outcomes);
    return new Map(numbered.map(({ row, id }) => [row, all[id] ?? 'no outcome']));
  } finally {
    await endPeers();
  }
}
/** The rows that did not go as they should, as they would be read out. */
const wrong = (outcomes: Map<Row, string>, wanted = (row: Row): string => row.expected): string[] =>
  [...outcomes]
    .filter(([row, outcome]) => outcome !== wanted(row))
    .map(([row, outcome]) => `${printed(row)}: expected ${wanted(row)}, was ${outcome}`);

beforeAll(async () => {
  lab.up('--hosts', '2', '--storage', 'dir');
  await Promise.all(
    guests.map(async (name) => {
      await vs(['create', name, places[name][4], 'busybox', '--host', home(name), '--yes']);
      const rules = firewalls[name];
      if (rules) lab.on(home(name), `cat > ${firewallOf(name)} << 'END'\n${rules}END`);
      await vs(['start', name]);
    }),
  );
  // a hop that takes less than the others: packets that are too big for it come back as an error
  lab.on('router', 'ip link set prober mtu 1400');
  lab.on('prober', 'ip link set eth0 mtu 1400');
});
afterAll(async () => {
  await endPeers();
  lab.down();
});

test(`every row of the packet table, IPv4 and IPv6, sent as real packets: ${table.length}`, async () => {
  expect(table.length).toBeGreaterThanOrEqual(120);
  expect(wrong(await send())).toEqual([]);
});

test('without the rules every one of them passes; loaded again they hold again', async () => {
  for (const name of ['web1', 'web5'] as const) inside(name, 'nft delete table inet vs');
  const free = (row: Row): string => (row.expected === 'drop' ? 'pass' : row.expected);
  expect(wrong(await send(table.filter((row) => row.port !== '53')), free)).toEqual([]);
  for (const name of ['web1', 'web5'] as const) inside(name, `nft -f ${rulesOf(name)}`);
  expect(wrong(await send())).toEqual([]);
});

test('an ICMP error that nothing here has caused does not get in', async () => {
  const from = peerAt('prober');
  /** Errors of this kind that came through the rules, by the kernel's own counters: IPv4, IPv6. */
  const errors = (name: Place): number[] => {
    const [keys = [], values = []] = inside(name, 'grep ^Icmp: /proc/net/snmp')
      .split('\n')
      .map((line) => line.split(' '));
    const six = inside(name, 'grep Icmp6InDestUnreachs /proc/net/snmp6').split(/\s+/)[1];
    return [Number(values[keys.indexOf('InDestUnreachs')]), Number(six)];
  };
  for (const [name, arrives] of [
    ['web1', 0],
    ['web5', 0],
    ['web2', 1],
  ] as const) {
    const before = errors(name);
    await from.ask({
      cases: [
        { id: 'four', protocol: 'icmp', to: places[name][4], port: 3, code: 3, quote: true },
        { id: 'six', protocol: 'icmp', to: places[name][6], port: 1, code: 4, quote: true },
      ],
      seconds: 0.3,
    });
    expect(errors(name), name).toEqual(before.map((count) => count + arrives));
  }
  await endPeers();
});

/** Datagrams to web1, over IPv4 and IPv6: to a port that its rules open, and to one that they do not. */
const flowsTo = (allowed: number, denied: number, from: string) => ({
  flows: ([4, 6] as const).flatMap((family) =>
    [allowed, denied].map((port) => ({
      id: `${port === allowed ? 'allowed' : 'denied'}-${family}-${from}`,
      to: places.web1[family],
      port,
    })),
  ),
});

test('60 reloads under flows: none of the allowed is lost, none of the denied passes', async () => {
  const [from, to] = [peerAt('web3'), peerAt('web1')];
  const other = compile(parseFirewall(`${firewalls.web1}allow from 192.0.2.99 tcp/1\n`, 'other'));
  lab.on('host1', `cat > /run/other.nft << 'END'\n${other}END`);
  await to.ask({ serve: { udp: [7000, 7003] } });
  await from.ask(flowsTo(7000, 7003, 'web3'));
  inside(
    'web1',
    `set -e; for turn in $(seq 30); do nft -f /run/other.nft; sleep 0.02; nft -f ${rulesOf('web1')}; sleep 0.02; done`,
  );
  const counts = await from.stopFlows();
  const heard = await to.ask<Record<string, number>>({ heard: true });
  await endPeers();
  for (const [id, { sent, answered, refused }] of Object.entries(counts)) {
    expect(sent, id).toBeGreaterThan(60);
    const all = id.startsWith('allowed') ? sent : 0;
    expect({ id, heard: heard[id] ?? 0, answered, refused }).toEqual({
      id,
      heard: all,
      answered: all,
      refused: 0,
    });
  }
});

test('the rules hold when the agent is killed, and after it has come back', async () => {
  process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
  expect(wrong(await send())).toEqual([]);
  await lab.agentIsBack('host1');
  expect(wrong(await send())).toEqual([]);
});

/** A listener that the first process of web1 starts before anything else; it writes down whom it has heard. */
const listener = `#!/usr/bin/perl
my (@sockets, %seen, $mask);
open(F, ">>", "/heard"); select(F); $| = 1; print "begun\\n";
for (7100, 7101) {
  socket(my $s, 10, 2, 0); bind($s, pack("S n N a16 N", 10, $_, 0, "\\0" x 16, 0)) or die;
  push @sockets, $s; vec($mask, fileno($s), 1) = 1;
}
while (select(my $ready = $mask, undef, undef, undef)) {
  for my $s (@sockets) {
    next unless vec($ready, fileno($s), 1);
    recv($s, my $text, 99, 0);
    my ($id) = $text =~ /^flow (\\S+)/;
    print "$id\\n" unless $seen{$id}++;
  }
}
`;
const rootfs = '/var/lib/vservers/web1/rootfs';

/** What the listener of web1 has heard since its newest start. */
const heardSince = (host: string): string[] =>
  (lab.on(host, `cat ${rootfs}/heard`).split('begun\n').at(-1) ?? '').split('\n').filter(Boolean).sort();
const allowedOnly = ['web2', 'web3', 'prober']
  .flatMap((from) => [`allowed-4-${from}`, `allowed-6-${from}`])
  .sort();

/** How long (ms) what is allowed may take after a start: an IPv6 address is tried first (DAD), and a busy machine is slow. */
const HEARD_MS = 60_000;

/** Hammers web1 from three sides while this happens to it, and until it has heard on that host what is allowed. */
async function hammered(host: string, work: () => void): Promise<void> {
  const from = (['web2', 'web3', 'prober'] as const).map((place) => [place, peerAt(place)] as const);
  for (const [place, peer] of from) await peer.ask(flowsTo(7100, 7101, place));
  work();
  await sleep(1500);
  const end = Date.now() + HEARD_MS;
  while (heardSince(host).length < allowedOnly.length && Date.now() < end) await sleep(100);
  for (const [, peer] of from)
    for (const [id, count] of Object.entries(await peer.stopFlows())) {
      expect(count.sent, id).toBeGreaterThan(50);
      // its kernel would say "port unreachable" where an address of it is heard before its rules are there
      if (id.startsWith('denied')) expect(count.refused, id).toBe(0);
    }
  await endPeers();
}

test('before and after a start nothing comes through that the rules deny; after a restart they hold', async () => {
  lab.on(
    'host1',
    `set -e; for f in /usr/bin/perl $(ldd /usr/bin/perl | grep -o '/[^ ]*' | sort -u); do mkdir -p ${rootfs}$(dirname $f); cp -L $f ${rootfs}$f; done
cat > ${rootfs}/listen.pl << 'END'\n${listener}END
init=$(readlink -f ${rootfs}/sbin/init); sed -i '1a /usr/bin/perl /listen.pl &' $init`,
  );
  await hammered('host1', () => void lab.vs(['restart', 'web1']));
  expect(heardSince('host1')).toEqual(allowedOnly);
  expect(wrong(await send())).toEqual([]);
});

test('after a move they hold on the other host; nothing that they deny came through on the way', async () => {
  await hammered('host2', () => void lab.vs(['move', 'web1', 'host2']));
  hostOf.set('web1', 'host2');
  expect(heardSince('host2')).toEqual(allowedOnly);
  expect(lab.on('host2', `cat ${rootfs}/heard`)).not.toMatch(/denied/);
  expect(wrong(await send())).toEqual([]);
});

test('in one network vservers talk directly, in two by the router, whichever hosts they are on', async () => {
  const to = (['web3', 'web4', 'web6', 'web7'] as const).map((name) => ({ name, peer: peerAt(name) }));
  const from = peerAt('web2');
  for (const { peer } of to) await peer.ask({ capture: ['eth0'] });
  const cases = to.flatMap(({ name }) =>
    ([4, 6] as const).map((family) => ({
      id: `${name}-${family}`,
      protocol: 'icmp',
      to: places[name][family],
      port: family === 4 ? 8 : 128,
    })),
  );
  const outcomes = await from.ask<Record<string, string>>({ cases, seconds: 2.5 });
  expect(Object.values(outcomes)).toEqual(cases.map(() => 'pass'));
  const macOf = /ether (\S+)/.exec(inside('web2', 'ip -o link show eth0'))?.[1];
  for (const { name, peer } of to) {
    const { frames } = await peer.ask<{ frames: [string, number, string][] }>({ captured: true });
    const pings = frames
      .map(([, , hex]) => hex)
      .filter((hex) =>
        hex.startsWith('08004500', 24)
          ? hex.startsWith('08', 68)
          : hex.startsWith('86dd', 24) && hex.startsWith('80', 108),
      )
      .map((hex) => ({
        from: (hex.slice(12, 24).match(/../g) ?? []).join(':'),
        hops: parseInt(hex.startsWith('0800', 24) ? hex.slice(44, 46) : hex.slice(42, 44), 16),
      }));
    const direct = name === 'web3' || name === 'web6';
    expect(pings.length, name).toBeGreaterThanOrEqual(2);
    for (const ping of pings) {
      expect(ping.hops, name).toBe(direct ? 64 : 63);
      expect(ping.from === macOf, name).toBe(direct);
    }
  }
  await endPeers();
});
