import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../cli/client.ts';
import type { Line } from '../../services/orchestrator/journal.ts';
import type { Args, CommandName, Data } from '../../shared/contract/commands.ts';
import type { Limits } from '../../shared/contract/limits.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { entering } from '../lab/enter.ts';
import { ONLINE_SECONDS, awaitOnline, down, up } from '../lab/lab.ts';
import { type Lab, namespace, nodeOf, nodesOf, password, paths } from '../lab/model.ts';
import { bootNode } from '../lab/node.ts';
import { heal } from '../lab/wires.ts';
import { furnish, manifest, numbers } from './guest.ts';
import { leftoversScript, masterLeftovers } from './leftovers.ts';
import { readLines } from './line.ts';
import { type Watching, startWatching } from './watching.ts';

export type Storage = 'btrfs' | 'dir';
export const hosts = ['host1', 'host2'] as const;
export type Host = (typeof hosts)[number];
export const otherHost = (host: Host): Host => (host === 'host1' ? 'host2' : 'host1');
/** Those of the matrix: web1 is there all the time, web2 comes and goes. */
export interface Vserver {
  name: string;
  address: string;
}
export const web1: Vserver = { name: 'web1', address: '10.60.10.5' };
export const web2: Vserver = { name: 'web2', address: '10.60.10.6' };
/** What web2 is called after a rename. */
export const web3: Vserver = { name: 'web3', address: web2.address };

export interface World {
  lab: Lab;
  storage: Storage;
  watching: Watching;
  /** The directory of the journals, as this machine sees it. */
  journals: string;
  /** What the tree of web1 is and stays. */
  tree: string;
}

/** A lab of its own with web1 on host1, running and watched. What was there of that name goes. */
export async function openWorld(
  name: string,
  storage: Storage,
  options: { megabytes?: number; clocks?: boolean } = {},
): Promise<World> {
  await down(name);
  const lab = await up({ name, storage, hosts: 2, ...(options.clocks ? { clocks: true } : {}) });
  const world: World = {
    lab,
    storage,
    watching: await startWatching(lab, hosts, [web1.address, web2.address]),
    journals: `${paths(name).node('master')}/state/sagas`,
    tree: '',
  };
  // with a limit, an evacuation knows its memory without waiting for the next figures
  const limits = { memory_bytes: 128 * 2 ** 20 };
  await made(world, web1, 'host1', { start: false, enable: true, limits });
  await on(world, 'host1', furnish(web1.name, options.megabytes ?? 30));
  await ask(world, 'host1', 'host-agent.start', { name: web1.name });
  for (let tries = 0; !world.watching.answers(web1.address) || !world.watching.tells(); tries++) {
    if (tries > 150) throw new Error('the prober does not hear web1, so it would see no second one');
    await sleep(200);
  }
  world.tree = await on(world, 'host1', manifest(web1.name));
  return world;
}

export async function closeWorld(world: World | undefined, name: string): Promise<void> {
  world?.watching.stop();
  await down(name);
}

/** Asks a service by a connection of its own; over a restart of broker or target again, with the same id. */
export async function ask<K extends CommandName>(
  world: Pick<World, 'lab'>,
  target: string,
  command: K,
  args: Args<K>,
  timeoutMs = 60_000,
): Promise<Data<K>> {
  const { lab } = world;
  const settings = {
    url: `unix://${paths(lab.name).socket}`,
    user: 'operator',
    password: await password(lab.name, 'operator'),
    base: 'vs/1',
  };
  const id = randomUUID();
  const end = Date.now() + timeoutMs;
  for (;;) {
    const client = await connect(settings);
    try {
      return await client.request(target, command, args, { id, timeoutMs: Math.max(1000, end - Date.now()) });
    } catch (error) {
      if (!(error instanceof VsError) || error.code !== 'unavailable' || Date.now() > end) throw error;
    } finally {
      client.close();
    }
    await sleep(200);
  }
}

/** Runs a script in a node; answers what it printed. */
export async function on(world: Pick<World, 'lab'>, node: string, script: string): Promise<string> {
  const argv = [...(await entering(world.lab, node)), 'bash', '-c', script];
  return (await run(argv, { timeoutMs: 120_000 })).stdout;
}

/** Creates a vserver and waits for the end. */
export async function made(
  world: World,
  one: Vserver,
  host: Host,
  how: { start: boolean; enable: boolean; limits?: Limits },
): Promise<void> {
  const args = { ...one, source: 'busybox', host, ...how, wait: true };
  const { state } = await ask(world, 'master', 'orchestrator.create', args, 120_000);
  if (state.result !== 'done') throw new Error(`${one.name} was not created: ${state.message}`);
}

/** The pid of a service of a node, as this machine sees it; undefined while it is not running. */
export function pidOf(lab: Lab, node: string, service: string): number | undefined {
  const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const inside = new RegExp(`^${service}\t(\\d+)$`, 'm').exec(read(paths(lab.name).services(node)))?.[1];
  const part = namespace(lab.name, node);
  const places = [`/sys/fs/cgroup/pids/${part}`, `/sys/fs/cgroup/${part}/init.scope`];
  const pids = places.flatMap((place) => read(`${place}/cgroup.procs`).split('\n').filter(Boolean));
  const found = pids.find((pid) => {
    try {
      return new RegExp(`^NSpid:\\s+\\d+\\s+${inside}$`, 'm').test(
        readFileSync(`/proc/${pid}/status`, 'utf8'),
      );
    } catch {
      return false; // it ended in the meantime
    }
  });
  return found && inside ? Number(found) : undefined;
}

/** The services of a node that a test kills. */
export const serviceOn = (node: string): string => (node === 'master' ? 'master' : 'agent');

/** Which host owns a vserver, by the records on their disks: none, one, or (a violation) more. */
export function ownersOf(world: World, name: string): { host: Host; epoch: number }[] {
  return hosts.flatMap((host) => {
    const file = `${paths(world.lab.name).node(host)}/state/owned/${name}.json`;
    if (!existsSync(file)) return [];
    const record = JSON.parse(readFileSync(file, 'utf8')) as { owner: boolean; epoch: number };
    return record.owner ? [{ host, epoch: record.epoch }] : [];
  });
}

export function journalOf(world: World, id: string): Line[] {
  const { pid } = paths(world.lab.name);
  const init = existsSync(pid('master')) ? readFileSync(pid('master'), 'utf8').trim() : '';
  // as the master sees it: its journals may lie on a disk that is full
  const lines = init ? readLines(`/proc/${init}/root/var/lib/vs-tools/sagas/${id}.jsonl`) : [];
  return lines.length > 0 ? lines : readLines(`${world.journals}/${id}.jsonl`);
}

/** What the disks of all hosts, and the copies of the master, have that they should not, as `host: what`. */
export async function leftovers(world: World): Promise<string[]> {
  const all = await Promise.all(
    (['master', ...hosts] as const).map(async (node) =>
      (await on(world, node, node === 'master' ? masterLeftovers : leftoversScript))
        .split('\n')
        .filter(Boolean)
        .map((line) => `${node}: ${line}`),
    ),
  );
  return all.flat();
}

/** Boots what is off and ends all cuts; then everybody is online. */
export async function mendWorld(world: World): Promise<void> {
  await heal(world.lab);
  for (const node of nodesOf(world.lab)) await bootNode(world.lab, node);
  const missing = await awaitOnline(world.lab, ONLINE_SECONDS);
  if (missing.length > 0)
    throw new Error(`${missing.join(', ')} did not come online within ${ONLINE_SECONDS} s`);
}

/** Waits until every host is there: what was struck last may just restart. */
export async function allOnline(world: World): Promise<void> {
  for (const end = Date.now() + 60_000; ; await sleep(200)) {
    const away = (await ask(world, 'master', 'orchestrator.scan', {})).hosts.filter(
      (one) => one.state !== 'online',
    );
    if (away.length === 0) return;
    if (Date.now() > end)
      throw new Error(`${away.map((one) => one.host).join()} did not come back within 60 s`);
  }
}

/** What is wrong with the files of web1 on a host: differences of the tree, numbers that are lost. */
export async function lost(world: World, host: Host): Promise<string[]> {
  const found: string[] = [];
  const tree = await on(world, host, manifest(web1.name)).catch((error: unknown) => String(error));
  if (tree !== world.tree) found.push(`the tree of web1 on ${host} differs: ${difference(world.tree, tree)}`);
  const shown = world.watching.count(web1.address);
  const [lines = 0, last = 0, bad = 0] = (await on(world, host, numbers(web1.name))).split(' ').map(Number);
  if (bad > 0 || lines !== last)
    found.push(`${bad} of the ${lines} numbers of web1 do not follow (the last is ${last})`);
  if (last < shown) found.push(`web1 had told number ${shown}, its disk on ${host} ends with ${last}`);
  return found;
}

/** The first lines in which two manifests differ. */
function difference(before: string, after: string): string {
  const [was, is] = [new Set(before.split('\n')), new Set(after.split('\n'))];
  const gone = [...was].filter((line) => !is.has(line)).map((line) => `- ${line}`);
  const come = [...is].filter((line) => !was.has(line)).map((line) => `+ ${line}`);
  return [...gone, ...come].slice(0, 6).join(' ; ');
}

export const nodeNamed = (world: World, name: string) => nodeOf(world.lab, name);
