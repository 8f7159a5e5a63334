import { EPOCH } from './loop.ts';
import { OWNED, VSERVERS } from './guests.ts';
import type { Scenario, Vserver } from './scenario.ts';
import { FIRST_DATA, filesOf, manifestOf } from './trees.ts';
import { BACKUPS, COPIES } from './copies.ts';
import type { Machine, World } from './world.ts';

const DAY_MS = 86_400_000;
const numberOf = (name: string) => Number(/\d+$/.exec(name)?.[0] ?? 0);
export const addressOf = (name: string): string => `10.60.10.${4 + numberOf(name)}`;
export const uuidFor = (name: string): string =>
  `11111111-1111-4111-a111-${String(numberOf(name)).padStart(12, '0')}`;

/** One that lies in the trash of another host was there before it came to its own. */
const epochOf = ({ vservers }: Scenario, { name, host, trash }: Vserver): number =>
  !trash && vservers.some((other) => other.trash && other.name === name && other.host !== host) ? 2 : 1;
/** What a vserver is like, where it has a kept snapshot: `then` in that, `now` at first. */
export const STATE = 'rootfs/etc/state';
const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

function configOf({ name, enabled, host }: Vserver) {
  return {
    version: 1,
    uuid: uuidFor(name),
    name,
    network: 'blue',
    address: addressOf(name),
    prefix: 24,
    mac: `02:00:00:00:00:${String(10 + numberOf(name))}`,
    enabled: enabled && host !== 'master',
    limits: { memory_bytes: 64_000_000 },
    idmap: 100_000,
    source: 'busybox',
    created: 1,
  };
}
function placeTree(world: World, node: Machine, tree: string, vserver: Vserver): void {
  const { disk } = node;
  const parent = tree.slice(0, tree.lastIndexOf('/'));
  disk.makeDirectories(parent);
  if (world.isBtrfs(node)) disk.put(tree, disk.directory(true));
  for (const directory of ['rootfs/sbin', 'rootfs/etc', 'rootfs/var'])
    disk.makeDirectories(`${tree}/${directory}`);
  disk.make(`${tree}/rootfs/sbin/init`, 'init');
  disk.make(`${tree}/rootfs/etc/hostname`, vserver.name);
  disk.make(`${tree}/rootfs/var/data`, FIRST_DATA);
  disk.make(`${tree}/vserver.json`, json(configOf(vserver)));
}
/** As a get has left it. */
function placeCopy(world: World, node: Machine, vserver: Vserver): void {
  const { name } = vserver;
  placeTree(world, node, `${COPIES}/${name}`, vserver);
  const copy = {
    version: 1,
    name,
    uuid: uuidFor(name),
    host: 'host1',
    epoch: 1,
    kind: 'stopped',
    running: false,
    enabled: vserver.enabled,
    taken: EPOCH - DAY_MS,
    saga: 'get-0',
    bytes: 1000,
    files: 5,
  };
  node.disk.make(`${COPIES}/${name}/copy.json`, json(copy));
}
const BACKED_UP = EPOCH - DAY_MS;
/** The id of a backup that lies there at first. */
export const FORMER = `${new Date(BACKED_UP).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
/** As a backup has left it. */
function placeBackup(world: World, node: Machine, vserver: Vserver): void {
  const { name } = vserver;
  const taken = BACKED_UP;
  const id = FORMER;
  const path = `${BACKUPS}/${name}/${id}`;
  placeTree(world, node, `${path}/tree`, vserver);
  const texts = filesOf(node.disk.find(`${path}/tree`));
  const record = {
    version: 1,
    id,
    vserver: name,
    repository: 'main',
    uuid: uuidFor(name),
    host: 'host1',
    epoch: 1,
    mode: 'hot',
    kind: 'stopped',
    running: true,
    enabled: vserver.enabled,
    network: 'blue',
    address: addressOf(name),
    taken,
    finished: taken,
    saga: 'backup-0',
    bytes: 1000,
    files: texts.size,
  };
  node.disk.make(`${path}/manifest`, manifestOf(texts));
  node.disk.make(`${path}/backup.json`, json(record));
}
/** What a vserver was before it was changed. */
function placeKept(world: World, node: Machine, vserver: Vserver): void {
  const { name } = vserver;
  const path = `${VSERVERS}/.kept/${uuidFor(name)}/one`;
  placeTree(world, node, `${path}/tree`, vserver);
  node.disk.make(`${path}/tree/${STATE}`, 'then');
  node.disk.make(`${VSERVERS}/${name}/${STATE}`, 'now');
  const record = {
    version: 1,
    snapshot: 'one',
    vserver: name,
    uuid: uuidFor(name),
    taken: EPOCH - DAY_MS,
    by: 'operator',
    kind: 'manual',
  };
  node.disk.make(`${path}/record.json`, json(record));
}
/** As a remove has left it, or the move that brought it to another host. */
function placeTrash(world: World, node: Machine, vserver: Vserver): void {
  const { name, host } = vserver;
  const away = world.scenario.vservers.find((other) => other.name === name && !other.trash);
  const to = away && away.host !== 'master' ? away.host : 'trash';
  placeTree(world, node, `${VSERVERS}/.trash/${name}.remove-0`, vserver);
  const entry = {
    version: 1,
    name,
    saga: 'remove-0',
    uuid: uuidFor(name),
    ts: EPOCH - 2 * DAY_MS,
    until: EPOCH + 5 * DAY_MS,
    epoch: 1,
    address: addressOf(name),
    why: to === 'trash' ? 'removed' : `moved to ${to}`,
    only: to === 'trash',
  };
  node.disk.make(`${VSERVERS}/.trash/${name}.remove-0.json`, json(entry));
  placeRecord(node, { name, owner: false, epoch: 1, saga: 'remove-0', releasedTo: to });
  world.say(host, `has ${name} in its trash`);
}
function placeRecord({ disk }: Machine, record: { name: string; [key: string]: unknown }): void {
  disk.makeDirectories(OWNED);
  const { name, ...rest } = record;
  disk.make(`${OWNED}/${name}.json`, json({ version: 1, name, uuid: uuidFor(name), ts: 1, ...rest }));
}
/** As a create has left it. */
function place(world: World, vserver: Vserver): void {
  const { name, host, running, trash } = vserver;
  const node = world.machine(host);
  if (host === 'master') return (vserver.backup ? placeBackup : placeCopy)(world, node, vserver);
  if (trash) return placeTrash(world, node, vserver);
  placeTree(world, node, `${VSERVERS}/${name}`, vserver);
  node.disk.make(`${VSERVERS}/${name}/config`, '');
  placeRecord(node, { name, owner: true, epoch: epochOf(world.scenario, vserver), saga: 'create-0' });
  if (vserver.kept) placeKept(world, node, vserver);
  if (running) world.guests.start(node, name);
}

/** The disks of a pool as a scenario finds it. */
export function setUp(world: World): void {
  const { scenario, machines } = world;
  const hosts = scenario.hosts.join('\n');
  for (const { disk } of machines.values()) {
    for (const directory of ['/etc/vs-tools', '/var/lib/vs-tools', VSERVERS, '/run/vs'])
      disk.makeDirectories(directory);
    disk.make('/etc/vs-tools/networks.conf', '10:10.60.10.0/24:10.60.10.1:name=blue,uplink=none\n');
    disk.make('/etc/vs-tools/slaves.conf', `${hosts}\n`);
    disk.make('/run/vs/.autostarted', '');
  }
  for (const vserver of scenario.vservers) place(world, vserver);
  const left = scenario.vservers.map(({ name, host }) => ({ name, to: host }));
  const marks = scenario.evacuated.map((host) => [
    host,
    { since: 1, saga: 'evacuate-0', by: 'operator', left: left.filter(({ to }) => to !== host) },
  ]);
  if (marks.length > 0)
    world
      .machine('master')
      .disk.make(
        '/var/lib/vs-tools/evacuated.json',
        json({ version: 1, hosts: Object.fromEntries(marks) as object }),
      );
  for (const { disk } of machines.values()) disk.syncAll();
}
