import type { SagaState } from '../../shared/contract/saga.ts';
import { setWorld } from './current.ts';
import { begin } from './process.ts';
import type { Scenario, Vserver } from './scenario.ts';
import { FIRST_DATA } from './trees.ts';
import { type Watch, copiesOn, createWatch } from './watch.ts';
import { type Machine, OWNED, VSERVERS, type World, createWorld } from './world.ts';

/** The pool settles before anything happens (ms). */
const SETTLE_MS = 1500;
/** After the last saga ended and all is mended, so long nothing more may happen (ms). */
const QUIET_MS = 4000;
/** With faults that the broker or a host hears of late, longer. */
const LONG_QUIET_MS = 25_000;
/** A saga that has no end by then has none (ms). */
const END_MS = 1_800_000;
const LOOK_MS = 500;

export interface Outcome {
  violations: string[];
  log: string[];
  /** By kind and result, such as "move done". */
  sagas: { kind: string; result: string }[];
  /** Virtual milliseconds. */
  ms: number;
}

export const addressOf = (name: string): string => `10.60.10.${4 + Number(/\d+$/.exec(name)?.[0] ?? 0)}`;
const uuidFor = (name: string): string => {
  const number = String(Number(/\d+$/.exec(name)?.[0] ?? 0)).padStart(12, '0');
  return `11111111-1111-4111-a111-${number}`;
};

/** A vserver as a create has left it. */
function place(world: World, { name, host, running, enabled }: Vserver): void {
  const node = world.machine(host);
  const { disk } = node;
  const tree = `${VSERVERS}/${name}`;
  const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
  const config = {
    version: 1,
    uuid: uuidFor(name),
    name,
    network: 'blue',
    address: addressOf(name),
    prefix: 24,
    mac: `02:00:00:00:00:${String(10 + number)}`,
    enabled,
    limits: {},
    idmap: 100_000,
    source: 'busybox',
    created: 1,
  };
  if (world.isBtrfs(node)) {
    disk.makeDirectories(VSERVERS);
    disk.put(tree, disk.directory(true));
  }
  for (const directory of ['rootfs/sbin', 'rootfs/etc', 'rootfs/var'])
    disk.makeDirectories(`${tree}/${directory}`);
  disk.make(`${tree}/rootfs/sbin/init`, 'init');
  disk.make(`${tree}/rootfs/etc/hostname`, name);
  disk.make(`${tree}/rootfs/var/data`, FIRST_DATA);
  disk.make(`${tree}/vserver.json`, `${JSON.stringify(config, null, 2)}\n`);
  disk.make(`${tree}/config`, '');
  disk.makeDirectories(OWNED);
  const owned = { version: 1, name, uuid: config.uuid, owner: true, epoch: 1, saga: 'create-0', ts: 1 };
  disk.make(`${OWNED}/${name}.json`, `${JSON.stringify(owned, null, 2)}\n`);
  if (running) world.startContainer(node, name);
}

function setUp(world: World): void {
  const hosts = world.scenario.hosts.join('\n');
  for (const { disk } of world.machines.values()) {
    for (const directory of ['/etc/vs-tools', '/var/lib/vs-tools', VSERVERS, '/run/vs'])
      disk.makeDirectories(directory);
    disk.make('/etc/vs-tools/networks.conf', '10:10.60.10.0/24:10.60.10.1:name=blue,uplink=none\n');
    disk.make('/etc/vs-tools/slaves.conf', `${hosts}\n`);
    disk.make('/run/vs/.autostarted', '');
  }
  for (const vserver of world.scenario.vservers) place(world, vserver);
  for (const { disk } of world.machines.values()) disk.syncAll();
}

/** The sagas as the broker holds them. */
function sagasOf(world: World): SagaState[] {
  const all: SagaState[] = [];
  for (const [topic, text] of world.broker.retained)
    if (topic.startsWith('vs/1/sagas/')) all.push(JSON.parse(text) as SagaState);
  return all;
}

function holds(world: World, part: string): boolean {
  for (const [topic, text] of world.broker.retained)
    if (topic.startsWith('vs/1/sagas/') && text.includes(part)) return true;
  return false;
}

/** What must hold once all sagas have ended and all faults are mended. */
function checkEnd(world: World, watch: Watch, sagas: SagaState[]): void {
  const { broker, machines, scenario } = world;
  const hosts = [...machines.values()].filter((one) => one.name !== 'master');
  const stuck = new Set<string>();
  for (const { id, result, vserver, message, also } of sagas) {
    if (result === 'running') world.violate(`saga ${id} has no end`);
    const alert = [vserver, ...(also ?? [])].some((name) =>
      broker.retained.has(`vs/1/master/alerts/${name}/saga`),
    );
    if (result === 'stuck') {
      stuck.add(vserver);
      if (!alert) world.violate(`saga ${id} is stuck without an alert: ${message}`);
    } else if (alert && !stuck.has(vserver))
      world.violate(`saga ${id} is ${result}, and its alert still stands`);
    if (result === 'stuck') continue;
    for (const host of hosts) {
      const left = [
        ...copiesOn(host).filter(({ path }) => path.includes('/.staging/') && path.includes(id)),
        ...leftIn(host, `${VSERVERS}/.staging`, id),
        ...leftIn(host, `${VSERVERS}/.snapshots/${vserver}`, id),
        ...leftIn(host, '/var/lib/vs-tools/locks', id, true),
      ];
      for (const { path } of left)
        world.violate(`saga ${id} is ${result}, and ${path} is left on ${host.name}`);
    }
    for (const [port, one] of world.endpoints)
      if (one.saga === id && !one.life.dead)
        world.violate(`saga ${id} is ${result}, and endpoint ${port} is open`);
  }
  for (const host of hosts) checkHost(world, watch, host, stuck);
  const isCalm = scenario.faults.every(({ deed }) => deed.what === 'ask' && deed.target === 'master');
  const first = sagas[0];
  if (isCalm && sagas.length === 1 && first?.result !== 'done')
    world.violate(`nothing happened, and saga ${first?.id} ended ${first?.result}: ${first?.message}`);
  if (isCalm && sagas.length === 0) world.violate('nothing happened, and no saga began');
}
function leftIn({ disk }: Machine, path: string, id: string, inside = false): { path: string }[] {
  if (!disk.find(path)) return [];
  return disk
    .list(path)
    .filter(([name, inode]) =>
      inside ? inode.kind === 'file' && inode.text.includes(`"${id}"`) : name.includes(id),
    )
    .map(([name]) => ({ path: `${path}/${name}` }));
}
/** The pool hears the truth about a host, and what is enabled or was running runs. */
function checkHost(world: World, watch: Watch, host: Machine, stuck: Set<string>): void {
  const prefix = `vs/1/hosts/${host.name}/vservers/`;
  const { owned, trees } = watch.seen.get(host.name) ?? { owned: [], trees: [] };
  const said = new Map<string, { state: string; epoch: number }>();
  for (const [topic, text] of world.broker.retained)
    if (topic.startsWith(prefix))
      said.set(topic.split('/').at(-2) ?? '', JSON.parse(text) as { state: string; epoch: number });
  for (const name of said.keys())
    if (!trees.some((tree) => tree.name === name))
      world.violate(`${host.name} still says that it has ${name}`);
  for (const { name } of trees) {
    const own = owned.find((one) => one.name === name && one.owner);
    const now = said.get(name);
    const state = host.containers.has(name) ? 'running' : 'stopped';
    if (now?.state !== state || now.epoch !== (own?.epoch ?? 0))
      world.violate(
        `${host.name} says that ${name} is ${now?.state}, epoch ${now?.epoch}; it is ${state}, epoch ${own?.epoch ?? 0}`,
      );
    if (!own || stuck.has(name) || state === 'running') continue;
    const before = world.scenario.vservers.find((one) => one.name === name);
    const touched = world.scenario.faults.some(
      ({ deed }) =>
        deed.what === 'hand' ||
        deed.what === 'nostart' ||
        deed.what === 'eio' ||
        deed.what === 'full' ||
        (deed.what === 'ask' && deed.target !== 'master' && /\.(stop|restart|disable)$/.test(deed.command)),
    );
    if (before?.running && before.enabled && !touched)
      world.violate(`${name} ran before, and does not run on ${host.name}, which owns it`);
  }
}

/** Runs a scenario to its end, and says what was violated. */
export async function simulate(scenario: Scenario, verbose = false): Promise<Outcome> {
  const log: string[] = [];
  Error.stackTraceLimit = verbose ? 10 : 0; // most errors of a simulation are read by nobody
  const world = createWorld(scenario, begin, verbose ? (line) => void log.push(line) : undefined);
  setWorld(world);
  const watch = createWatch(world);
  setUp(world);
  watch.check();
  world.boot();
  const isLong = scenario.faults.some(({ deed }) =>
    ['power', 'cut', 'kill', 'olddisk', 'hand'].includes(deed.what),
  );
  let quietSince = 0;
  let resumed = false;
  let ended = false;
  function lookAgain(): void {
    const now = world.loop.now();
    const isMended =
      now > world.busyUntil && !world.hasCuts() && [...world.machines.values()].every((one) => one.powered);
    if (!isMended || holds(world, '"result":"running"')) quietSince = now;
    else if (now - quietSince > (isLong ? LONG_QUIET_MS : QUIET_MS)) {
      const sagas = sagasOf(world);
      const stuck = sagas.filter((one) => one.result === 'stuck');
      if (stuck.length > 0 && !resumed) {
        resumed = true;
        quietSince = now;
        checkEnd(world, watch, sagas);
        for (const { id } of stuck) world.ask('master', 'orchestrator.resume', { id });
      } else ended = true;
    }
    if (!ended) world.loop.after(LOOK_MS, undefined, lookAgain);
  }
  world.loop.after(SETTLE_MS, undefined, () => {
    world.expect(scenario.faults);
    quietSince = world.loop.now();
    world.loop.after(LOOK_MS, undefined, lookAgain);
  });
  await world.loop.run(END_MS, () => {
    watch.check();
    return ended || world.violations.length > 0;
  });
  const sagas = sagasOf(world);
  if (world.violations.length === 0) {
    checkEnd(world, watch, sagas);
    // what stays in the way by a person's hand, or does not start, is mended by a person
    const isTouched = world.handled || scenario.faults.some(({ deed }) => deed.what === 'nostart');
    for (const { id, result, message } of sagas)
      if (result === 'stuck' && !isTouched)
        world.violate(`all is mended, and saga ${id} is stuck still: ${message}`);
  }
  for (const { id, result, message } of sagas) world.say('master', `${id}: ${result}: ${message}`);
  setWorld(undefined);
  return {
    violations: world.violations,
    log,
    sagas: sagas.map(({ kind, result }) => ({ kind, result })),
    ms: world.loop.now(),
  };
}
