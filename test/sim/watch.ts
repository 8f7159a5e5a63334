import type { Machine, World } from './world.ts';
import { OWNED, VSERVERS } from './world.ts';
import { uuidOf, versionOf } from './trees.ts';

interface Owned {
  name: string;
  uuid: string;
  owner: boolean;
  epoch: number;
  releasedTo?: string;
}
interface Tree {
  name: string;
  uuid: string | undefined;
  version: number | undefined;
}
interface Seen {
  version: number;
  owned: Owned[];
  trees: Tree[];
  locked: Set<string>;
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
const listed = (machine: Machine, path: string) => (machine.disk.find(path) ? machine.disk.list(path) : []);

function look(machine: Machine): Seen {
  const { disk } = machine;
  const owned: Owned[] = [];
  const locked = new Set<string>();
  for (const [file, inode] of listed(machine, OWNED))
    if (file.endsWith('.json') && !file.startsWith('.') && inode.kind === 'file') {
      const one = parse(inode.text);
      if (one) owned.push(one);
    }
  for (const [file, inode] of listed(machine, '/var/lib/vs-tools/locks'))
    if (file.endsWith('.json') && !file.startsWith('.') && inode.kind === 'file')
      locked.add(file.slice(0, -5));
  const trees = listed(machine, VSERVERS)
    .filter(([name]) => !name.startsWith('.'))
    .map(([name]) => ({
      name,
      uuid: uuidOf(disk, `${VSERVERS}/${name}`),
      version: versionOf(disk, `${VSERVERS}/${name}`),
    }));
  return { version: disk.version(), owned, trees, locked };
}

/** Every place where a copy may lie on a host. */
export function copiesOn(
  machine: Machine,
): { path: string; uuid: string | undefined; version: number | undefined }[] {
  const paths = listed(machine, VSERVERS)
    .filter(([name]) => !name.startsWith('.'))
    .map(([name]) => `${VSERVERS}/${name}`);
  for (const [name] of listed(machine, `${VSERVERS}/.staging`))
    paths.push(
      ...listed(machine, `${VSERVERS}/.staging/${name}`).map(
        ([label]) => `${VSERVERS}/.staging/${name}/${label}`,
      ),
    );
  paths.push(...listed(machine, `${VSERVERS}/.trash`).map(([name]) => `${VSERVERS}/.trash/${name}`));
  return paths.map((path) => ({
    path,
    uuid: uuidOf(machine.disk, path),
    version: versionOf(machine.disk, path),
  }));
}

/** Looks at the world after each event: the invariants of the design. */
export function createWatch(world: World) {
  const hosts = [...world.machines.values()].filter((one) => one.name !== 'master');
  const seen = new Map<string, Seen>();
  /** Which host had an epoch of a vserver first. */
  const epochs = new Map<string, string>();
  /** What is at least in the data of a vserver, once it was handed over. */
  const floors = new Map<string, number>();
  let changes = -1;
  /** An old disk came back: there may be two owners until the old one yields. */
  const isOld = () => world.scenario.faults.some(({ deed }) => deed.what === 'olddisk');

  function handOver(host: Machine, one: Owned): void {
    const key = `${one.uuid} ${one.epoch}`;
    const first = epochs.get(key);
    if (first === host.name) return;
    if (first !== undefined) {
      if (one.owner)
        world.violate(`epoch ${one.epoch} of ${one.name} is on ${host.name}, and was on ${first}`);
      return;
    }
    for (const [other, where] of epochs) {
      const [uuid, epoch] = other.split(' ');
      if (uuid === one.uuid && Number(epoch) >= one.epoch)
        world.violate(`${host.name} took epoch ${one.epoch} of ${one.name}, though ${where} had ${epoch}`);
    }
    epochs.set(key, host.name);
    world.say(host.name, `owns ${one.name}, epoch ${one.epoch}`);
    const here = seen.get(host.name)?.trees.find((tree) => tree.uuid === one.uuid)?.version;
    let floor = floors.get(one.uuid) ?? 0;
    for (const { trees } of seen.values())
      for (const tree of trees) if (tree.uuid === one.uuid) floor = Math.max(floor, tree.version ?? 0);
    if (here !== undefined) {
      if (here < floor && !world.handled)
        world.violate(`${host.name} took over ${one.name} with data v${here}, the source has v${floor}`);
      floors.set(one.uuid, here);
    }
  }

  function check(): void {
    let isNew = changes !== world.changes;
    changes = world.changes;
    for (const host of hosts) {
      const before = seen.get(host.name);
      if (before?.version === host.disk.version()) continue;
      isNew = true;
      const now = look(host);
      seen.set(host.name, now);
      for (const one of now.owned) {
        if (one.owner) handOver(host, one);
        else if (before?.owned.some((old) => old.name === one.name && old.owner && old.uuid === one.uuid)) {
          world.say(host.name, `gave up ${one.name}, epoch ${one.epoch}`);
          if (one.releasedTo === 'nobody') floors.delete(one.uuid); // a create that is undone
        }
      }
    }
    if (!isNew) return;
    const owners = new Map<string, string>();
    const running = new Map<string, string>();
    for (const host of hosts) {
      const { owned, trees, locked } = seen.get(host.name) as Seen;
      for (const one of owned) {
        if (!one.owner) continue;
        const other = owners.get(one.uuid);
        if (other !== undefined && !isOld()) world.violate(`${other} and ${host.name} both own ${one.name}`);
        owners.set(one.uuid, host.name);
        const tree = trees.find(({ name }) => name === one.name);
        const floor = floors.get(one.uuid) ?? 0;
        if (tree?.uuid === one.uuid && tree.version !== undefined && tree.version >= floor) continue;
        if (tree)
          world.violate(
            `${one.name} on ${host.name}, which owns it, has ${tree.uuid === one.uuid ? `data ${tree.version === undefined ? 'that is torn' : `v${tree.version}`}, and had v${floor}` : 'no configuration any more'}`,
          );
        else world.violate(`${host.name} owns ${one.name}, but has no files of it`);
      }
      // what lies in its place and is not owned there is held by the saga that brings or takes it
      for (const { name } of trees)
        if (!locked.has(name) && !isOld() && !owned.some((one) => one.name === name && one.owner))
          world.violate(`${name} lies on ${host.name}, which does not own it, and no saga holds it`);
      for (const { name, uuid } of host.containers.values()) {
        const other = running.get(uuid);
        if (other !== undefined) world.violate(`${name} runs on ${other} and on ${host.name}`);
        running.set(uuid, host.name);
        if (!owned.some((one) => one.uuid === uuid && one.owner))
          world.violate(`${name} runs on ${host.name}, which does not own it`);
      }
    }
    for (const uuid of floors.keys()) if (!owners.has(uuid)) none(uuid);
  }
  /** Nobody owns it: a whole copy must lie somewhere. */
  function none(uuid: string): void {
    const floor = floors.get(uuid) ?? 0;
    for (const host of hosts)
      for (const copy of copiesOn(host)) if (copy.uuid === uuid && (copy.version ?? -1) >= floor) return;
    world.violate(`no whole copy of ${uuid} is left (v${floor})`);
    floors.delete(uuid);
  }
  return { check, seen };
}
export type Watch = ReturnType<typeof createWatch>;
