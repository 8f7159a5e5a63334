import { watchBackups } from './backups.ts';
import { type Copy, copiesOn, listed } from './copies.ts';
import { type Disk, diskChanges } from './disk.ts';
import { OWNED, VSERVERS } from './guests.ts';
import { openHistory } from './history.ts';
import { uuidOf, versionOf } from './trees.ts';
import type { Machine, World } from './world.ts';

export interface Owned {
  name: string;
  uuid: string;
  owner: boolean;
  epoch: number;
  saga?: string;
  releasedTo?: string;
}
interface Tree {
  name: string;
  uuid: string | undefined;
  version: number | undefined;
}
export interface Seen {
  disk: Disk;
  placed: number;
  owned: Owned[];
  trees: Tree[];
  /** By name, what the file of the lock says. */
  locked: Map<string, string>;
}

/** JSON of the files of the agents; the same text again and again. */
const parsed = new Map<string, unknown>();
function parse(text: string): Owned | undefined {
  if (!parsed.has(text)) {
    if (parsed.size > 5000) parsed.clear();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    parsed.set(text, value);
  }
  return parsed.get(text) as Owned | undefined;
}
const isRecord = (file: string) => file.endsWith('.json') && !file.startsWith('.');

function look(machine: Machine): Seen {
  const { disk } = machine;
  const owned: Owned[] = [];
  const locked = new Map<string, string>();
  for (const [file, inode] of listed(machine, OWNED)) {
    const one = isRecord(file) && inode.kind === 'file' ? parse(inode.text) : undefined;
    if (one) owned.push(one);
  }
  for (const [file, inode] of listed(machine, '/var/lib/vs-tools/locks'))
    if (isRecord(file) && inode.kind === 'file') locked.set(file.slice(0, -5), inode.text);
  const trees: Tree[] = [];
  for (const [name] of listed(machine, VSERVERS)) {
    if (name.startsWith('.')) continue;
    const tree = `${VSERVERS}/${name}`;
    trees.push({ name, uuid: uuidOf(disk, tree), version: versionOf(disk, tree) });
  }
  return { disk, placed: disk.placed(), owned, trees, locked };
}

/** Looks at the world after each event: the invariants of the design. */
export function createWatch(world: World) {
  const hosts = [...world.machines.values()].filter((one) => one.name !== 'master');
  const master = world.machine('master');
  const seen = new Map<string, Seen>();
  const history = openHistory(world, seen);
  const backups = watchBackups(world);
  let changes = -1;
  let onDisks = -1;
  let written = -1;
  /** Which host owns what now. */
  let owners = new Map<string, string>();
  /** An old disk came back: there may be two owners until the old one yields. */
  const isOld = world.scenario.faults.some(({ deed }) => deed.what === 'olddisk');

  function checkOwned(host: Machine, one: Owned, trees: Tree[]): void {
    // its host was dead when somebody else got it: it gives way once it hears of that
    if (history.isPassed(one)) return;
    const other = owners.get(one.uuid);
    if (other !== undefined && !isOld) world.violate(`${other} and ${host.name} both own ${one.name}`);
    owners.set(one.uuid, host.name);
    const tree = trees.find(({ name }) => name === one.name);
    const floor = history.floor(one.uuid);
    if (!tree && isExchanged(host, one, floor)) return undefined;
    if (!tree) return world.violate(`${host.name} owns ${one.name}, but has no files of it`);
    if (tree.uuid === one.uuid && tree.version !== undefined && tree.version >= floor) return;
    const has =
      tree.uuid !== one.uuid
        ? 'no configuration any more'
        : `data ${tree.version === undefined ? 'that is torn' : `v${tree.version}`}, and had v${floor}`;
    world.violate(`${one.name} on ${host.name}, which owns it, has ${has}`);
  }
  /** A rollback has put it aside, and its next rename puts the other one into its place. */
  function isExchanged(host: Machine, { name, uuid }: Owned, floor: number): boolean {
    if (seen.get(host.name)?.locked.get(name)?.includes('"rollback-') !== true) return false;
    return copiesOn(host).some((copy) => copy.uuid === uuid && (copy.version ?? -1) >= floor);
  }
  /** What lies in its place and is not owned there is held by the saga that brings or takes it. */
  function checkTrees(host: Machine, { owned, trees, locked }: Seen): void {
    for (const { name } of trees) {
      if (locked.has(name) || isOld) continue;
      const one = owned.find((record) => record.name === name);
      if (one?.owner || (one && history.isPassed(one))) continue;
      world.violate(`${name} lies on ${host.name}, which does not own it, and no saga holds it`);
    }
  }
  function checkRunning(host: Machine, { owned }: Seen, running: Map<string, string>): void {
    for (const { name, uuid, ended, frozen, doomed, byHand } of host.containers.values()) {
      if (ended || doomed) continue;
      const other = running.get(uuid);
      if (other !== undefined) world.violate(`${name} runs on ${other} and on ${host.name}`);
      running.set(uuid, host.name);
      const own = owned.find((one) => one.uuid === uuid && one.owner);
      // what was frozen, or a person started or thawed in the instant before it was given up, is ended next
      if (!own && !frozen && !byHand) world.violate(`${name} runs on ${host.name}, which does not own it`);
    }
  }
  function lookAt(host: Machine): void {
    const before = seen.get(host.name);
    const now = look(host);
    seen.set(host.name, now);
    for (const one of now.owned) {
      if (one.owner) history.handOver(host, one);
      else if (before?.owned.some((old) => old.name === one.name && old.owner && old.uuid === one.uuid))
        history.gaveUp(host, one);
    }
  }
  /** What lies and runs in its place, and who owns it. */
  function checkPlaces(): void {
    owners = new Map<string, string>();
    const running = new Map<string, string>();
    for (const host of hosts) {
      const now = seen.get(host.name) as Seen;
      for (const one of now.owned) if (one.owner) checkOwned(host, one, now.trees);
      checkTrees(host, now);
      if (host.containers.size > 0) checkRunning(host, now, running);
    }
  }
  function check(): void {
    const now = diskChanges();
    // most events change nothing of what is looked at here
    if (onDisks === now && changes === world.changes()) return;
    onDisks = now;
    backups.look();
    let isPlaced = changes !== world.changes();
    changes = world.changes();
    for (const host of hosts) {
      const before = seen.get(host.name);
      if (before?.disk === host.disk && before.placed === host.disk.placed()) continue;
      isPlaced = true;
      lookAt(host);
    }
    if (isPlaced) checkPlaces();
    let isChanged: boolean | undefined;
    for (const uuid of history.known()) if (!owners.has(uuid) && (isChanged ??= anyChanged())) checkAny(uuid); // it may lie anywhere
  }
  /** Has any disk changed since this was asked last? */
  function anyChanged(): boolean {
    const before = written;
    written = 0;
    for (const { disk, boot } of world.machines.values()) written += disk.version() + boot * 1e9;
    return before !== written;
  }
  /** Nobody owns it: a whole copy must lie somewhere. */
  function checkAny(uuid: string): void {
    const floor = history.floor(uuid);
    const isWhole = (copy: Copy) => copy.uuid === uuid && (copy.version ?? -1) >= floor;
    if (hosts.some((host) => copiesOn(host).some(isWhole)) || copiesOn(master).some(isWhole)) return;
    world.violate(`no whole copy of ${uuid} is left (v${floor})`);
    history.forget(uuid);
  }
  return { check, seen, isPassed: history.isPassed, backups };
}
export type Watch = ReturnType<typeof createWatch>;
