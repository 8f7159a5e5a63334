import type { SagaState } from '../../shared/contract/saga.ts';
import { checkRollbacks } from './backups.ts';
import { TRIALS } from './guests.ts';
import { listed, treesOf } from './copies.ts';
import type { Fault } from './scenario.ts';
import { checkTravels } from './travel.ts';
import type { Watch } from './watch.ts';
import type { Machine, World } from './world.ts';

/** What a saga has left on a machine. */
function leftOn(machine: Machine, { id, vserver, also = [] }: SagaState): string[] {
  const base = treesOf(machine);
  const named = (path: string) =>
    listed(machine, path)
      .filter(([name]) => name.includes(id))
      .map(([name]) => `${path}/${name}`);
  return [
    ...named(`${base}/.staging`),
    ...[vserver, ...also].flatMap((name) => named(`${base}/.snapshots/${name}`)),
    ...listed(machine, '/var/lib/vs-tools/locks')
      .filter(([, inode]) => inode.kind === 'file' && inode.text.includes(`"${id}"`))
      .map(([name]) => `/var/lib/vs-tools/locks/${name}`),
  ];
}
/** What a backup has left on a host that was away at its end, the next backup clears away. */
const isClearedLater = (
  { scenario: { faults } }: World,
  { kind, result }: SagaState,
  path: string,
): boolean =>
  kind === 'backup' &&
  result === 'done' &&
  path.includes('/.snapshots/') &&
  faults.some(({ deed }) => ['power', 'cut', 'eio', 'clock'].includes(deed.what));
/** A host that is away for so long (ms) is dead, for who recovers what it had. */
const DEAD_MS = 40_000;
/** What people ask for, and what a scenario may be about: the death of a host. */
const isCalm = ({ when, deed }: Fault): boolean =>
  (deed.what === 'ask' && deed.target === 'master') ||
  (deed.what === 'power' && when.kind === 'at' && when.ms === 0 && deed.ms >= DEAD_MS);

/** What must hold once all sagas have ended and all faults are mended. */
export function checkEnd(world: World, watch: Watch, sagas: SagaState[]): void {
  const { broker, machines, scenario } = world;
  const namesOf = ({ vserver, also = [] }: SagaState) => [vserver, ...also];
  const stuck = new Set(sagas.filter(({ result }) => result === 'stuck').flatMap(namesOf));
  for (const saga of sagas) {
    const { id, result, message } = saga;
    if (result === 'running') world.violate(`saga ${id} has no end`);
    const names = namesOf(saga);
    const alert = names.some((name) => broker.retained.has(`vs/1/master/alerts/${name}/saga`));
    if (result === 'stuck') {
      if (!alert) world.violate(`saga ${id} is stuck without an alert: ${message}`);
      continue;
    }
    if (alert && !names.some((name) => stuck.has(name)))
      world.violate(`saga ${id} is ${result}, and its alert still stands`);
    for (const machine of machines.values())
      for (const path of leftOn(machine, saga).filter((one) => !isClearedLater(world, saga, one)))
        world.violate(`saga ${id} is ${result}, and ${path} is left on ${machine.name}`);
    for (const [port, one] of world.endpoints)
      if (one.saga === id && !one.life.dead)
        world.violate(`saga ${id} is ${result}, and endpoint ${port} is open`);
  }
  for (const machine of machines.values()) {
    const left = new Set([...machine.trials.keys(), ...listed(machine, TRIALS).map(([name]) => name)]);
    for (const name of left)
      if (!stuck.has(name)) world.violate(`${name} was tried on ${machine.name}, and is left there`);
  }
  for (const host of machines.values()) if (host.name !== 'master') checkHost(world, watch, host, stuck);
  watch.backups.end(sagas);
  checkRollbacks(world, sagas);
  checkTravels(world, watch, sagas);
  if (!scenario.faults.every(isCalm)) return;
  const begun = sagas.filter((one) => one.parent === undefined);
  if (begun.length === 0) world.violate('nothing happened, and no saga began');
  if (begun.length === 1)
    for (const { id, result, message } of sagas)
      if (result !== 'done') world.violate(`nothing happened, and saga ${id} ended ${result}: ${message}`);
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
    const isPassedOn = [...watch.seen.values()].some((other) =>
      other.owned.some(
        (one) => (one.owner || one.releasedTo === 'trash') && own?.uuid === one.uuid && one.epoch > own.epoch,
      ),
    );
    if (own && isPassedOn && watch.isPassed(own))
      world.violate(`${host.name} is back, and has not given up ${name}, which was recovered elsewhere`);
    const now = said.get(name);
    const container = host.containers.get(name);
    if (container && !own) world.violate(`${name} runs on ${host.name}, which does not own it`);
    const state = container ? (container.frozen ? 'frozen' : 'running') : 'stopped';
    // after a boot it waits for the saga that holds it, and starts as soon as that lets it
    const waits = now?.state === 'starting' && state === 'stopped' && own !== undefined && stuck.has(name);
    if ((now?.state !== state && !waits) || now?.epoch !== (own?.epoch ?? 0))
      world.violate(
        `${host.name} says that ${name} is ${now?.state}, epoch ${now?.epoch}; it is ${state}, epoch ${own?.epoch ?? 0}`,
      );
    if (!own || stuck.has(name) || state === 'running') continue;
    const wasRunning = world.scenario.vservers.some(
      (one) => one.name === name && one.running && (one.enabled || isBrief(world)),
    );
    if (wasRunning && !world.scenario.faults.some(mayStop))
      world.violate(`${name} ran before, and does not run on ${host.name}, which owns it`);
  }
}
/** Who is only stopped for a while by a saga, and has not lost its power, runs then whether it is enabled or not. */
const isBrief = ({ scenario: { faults } }: World): boolean =>
  faults.some(({ deed }) => deed.what === 'ask' && /^orchestrator\.(backup|rollback)$/.test(deed.command)) &&
  faults.every(
    ({ deed }) => !['power', 'olddisk'].includes(deed.what) || !('node' in deed) || deed.node === 'master',
  );
/** After this a vserver that ran may be stopped at the end. */
function mayStop({ deed }: Fault): boolean {
  if (deed.what !== 'ask') return ['hand', 'nostart', 'eio', 'full'].includes(deed.what);
  // a recover starts what ran when it was heard of last
  if (deed.target === 'master') return deed.args['start'] === false || deed.command.endsWith('recover');
  return /\.(stop|restart|disable)$/.test(deed.command);
}
