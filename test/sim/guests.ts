import type { Node } from './loop.ts';
import { DATA, dataOf, uuidOf, versionOf } from './trees.ts';
import type { Core, Machine } from './world.ts';

export interface Container {
  name: string;
  uuid: string;
  pid: number;
  since: number;
  address: string;
  mac: string;
  /** None of its processes lives any more; its monitor does. */
  ended: boolean;
  frozen: boolean;
  /** Frozen, and a SIGKILL waits for all of it. */
  doomed: boolean;
  /** The host's end of its veth is down. */
  offline: boolean;
  /** A person started it, past the agent. */
  byHand: boolean;
}
/** A backup that is tried: no wire of it is plugged in, so it answers nobody. */
export interface Trial {
  name: string;
  pid: number;
  ended: boolean;
}
/** Where vservers lie on a host, and who owns them. */
export const VSERVERS = '/var/lib/vservers';
export const OWNED = '/var/lib/vs-tools/owned';
export const TRIALS = '/run/vs/.trials';
/** The monitor of a guest whose processes were killed clears away by itself (ms). */
const CLEAR_MS = 10;
const CGROUPS = /^\/sys\/fs\/cgroup\/lxc\.payload\.([^/]+)\/(cgroup\.events|cgroup\.freeze)$/;
const gone = (path: string) => Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
/** Beyond those of any kernel. */
const FIRST_PID = 100_000_000;

/** The containers of a simulated pool: the runtime, the kernel's view of them, and what their guests do. */
export function createGuests(world: Core) {
  const { loop, random } = world;
  let pids = FIRST_PID;
  const of = (node: Node, name: string) => (node as Machine).containers.get(name);

  const guests = {
    /** The runtime starts a vserver; or the reason why not (its hook looks at the ownership file). */
    start(node: Node, name: string, byHand = false): string | undefined {
      const { containers } = node as Machine;
      const tree = `${VSERVERS}/${name}`;
      if (containers.has(name)) return undefined;
      const config = node.disk.text(`${tree}/vserver.json`);
      if (config === undefined || !node.disk.find(`${tree}/rootfs`)) return 'there is nothing to start';
      if (!node.disk.find(`${tree}/config`)) return 'it is not configured';
      const isOwner = /"owner": *true/.test(node.disk.text(`${OWNED}/${name}.json`) ?? '');
      if (!isOwner) return 'this host does not own it';
      if ((node as Machine).nostart > 0) {
        (node as Machine).nostart--;
        return 'the cgroup could not be made';
      }
      const { address, mac } = JSON.parse(config) as { address: string; mac: string };
      if (versionOf(node.disk, tree) === undefined)
        world.violate(`${name} starts on ${node.name} with torn files`);
      const state = { ended: false, frozen: false, doomed: false, offline: false, byHand };
      const uuid = uuidOf(node.disk, tree) ?? '';
      containers.set(name, { name, uuid, pid: ++pids, since: loop.now(), address, mac, ...state });
      world.changed();
      world.say(node.name, `${name} starts`);
      return undefined;
    },
    /** Its processes end; it may write to the last. Its monitor clears away by itself. */
    end(node: Node, name: string, clearMs = 0): void {
      const one = of(node, name);
      if (!one || one.ended) return;
      if (!one.doomed) guests.write(node, `${VSERVERS}/${name}`);
      one.ended = true;
      world.changed();
      const { boot } = node;
      if (clearMs > 0)
        loop.after(clearMs, undefined, () => {
          if (node.boot === boot && of(node, name) === one) guests.stop(node, name);
        });
    },
    stop(node: Node, name: string): void {
      if (!of(node, name)) return;
      guests.end(node, name);
      (node as Machine).containers.delete(name);
      world.changed();
      world.say(node.name, `${name} stops`);
    },
    /** lxc-stop: what is frozen takes no signal; a SIGKILL waits for it. */
    terminate(node: Node, name: string, clearMs: number): void {
      const one = of(node, name);
      if (one?.frozen && !one.ended) one.doomed = true;
      else guests.end(node, name, clearMs);
      world.changed();
    },
    /** A guest that runs changes its files at any time; so it does, by chance, before they are looked at. */
    write(node: Node, path: string): void {
      if (!path.startsWith(`${VSERVERS}/`)) return;
      const name = path.slice(VSERVERS.length + 1).split('/')[0] ?? '';
      const guest = of(node, name);
      if (!guest || guest.ended || guest.frozen || random.chance(0.5)) return;
      const tree = `${VSERVERS}/${name}`;
      const file = node.disk.find(`${tree}/${DATA}`);
      const version = versionOf(node.disk, tree);
      if (file?.kind === 'file' && version !== undefined && !node.full)
        node.disk.write(file, dataOf(version + 1), tree);
    },
    /** The MAC address that answers at an address, as a host hears it. */
    whoAnswers(from: Node, address: string, bootMs: number): string | undefined {
      for (const node of world.machines.values()) {
        if (!node.powered || world.isCut(from.name, node.name)) continue;
        for (const one of node.containers.values())
          if (one.address === address && !one.offline && loop.now() - one.since >= bootMs) return one.mac;
      }
      return undefined;
    },
    /** The runtime starts a backup that is tried; or the reason why not. */
    startTrial(node: Node, name: string): string | undefined {
      const { trials, mounts } = node as Machine;
      const own = `${TRIALS}/${name}`;
      if (trials.has(name)) return 'it runs already';
      if (!node.disk.find(`${own}/config`)) return 'it is not configured';
      if (!mounts.has(`${own}/rootfs`)) return 'there is nothing to start';
      trials.set(name, { name, pid: ++pids, ended: false });
      world.changed();
      world.say(node.name, `${name} is tried`);
      return undefined;
    },
    /** SIGKILL to one; its monitor clears away by itself. */
    endTrial(node: Node, name: string): void {
      const { trials } = node as Machine;
      const one = trials.get(name);
      if (!one || one.ended) return;
      one.ended = true;
      world.changed();
      loop.after(CLEAR_MS, undefined, () => {
        if (trials.get(name) === one) trials.delete(name);
        world.changed();
      });
    },
    setOffline(node: Node, name: string, offline: boolean): void {
      const one = of(node, name);
      if (one) one.offline = offline;
    },
    setFrozen(node: Node, name: string, frozen: boolean, byHand = false): void {
      const one = of(node, name);
      if (!one || one.ended || one.frozen === frozen) return;
      one.frozen = frozen;
      if (byHand) one.byHand = true;
      world.changed();
      world.say(node.name, `${name} is ${frozen ? 'frozen' : 'thawed'}`);
      if (!frozen && one.doomed) guests.end(node, name, CLEAR_MS);
    },
    /** SIGKILL. */
    kill(node: Node, pid: number): void {
      for (const one of (node as Machine).containers.values())
        if (one.pid === pid) guests.terminate(node, one.name, CLEAR_MS);
      for (const one of (node as Machine).trials.values())
        if (one.pid === pid) guests.endTrial(node, one.name);
    },
    /** The numbers of the processes that live, as /proc lists them. */
    pids: (node: Node): string[] =>
      [...(node as Machine).containers.values(), ...(node as Machine).trials.values()]
        .filter((one) => !one.ended)
        .map(({ pid }) => String(pid)),
    procFile(node: Node, path: string): string {
      const { mounts, containers, trials } = node as Machine;
      if (path === '/proc/sys/kernel/random/boot_id') return `${node.name}-${node.boot}\n`;
      if (path === '/proc/self/mountinfo')
        return [...mounts].map((mount) => `1 1 0:1 / ${mount} rw`).join('\n');
      const [, pid, file] = /^\/proc\/(\d+)\/(status|cgroup)$/.exec(path) ?? [];
      for (const one of [...containers.values(), ...trials.values()]) {
        if (one.pid !== Number(pid) || one.ended) continue;
        if (file === 'cgroup') return `0::/lxc.payload.${one.name}\n`;
        const isDoomed = 'doomed' in one && one.doomed;
        return `State:\tS (sleeping)\nSigPnd:\t${isDoomed ? '0000000000000100' : '0000000000000000'}\n`;
      }
      throw gone(path);
    },
    /** Files of the cgroup of a container (cgroup-v2.rst). */
    cgroupFile(node: Node, path: string): string {
      const one = of(node, CGROUPS.exec(path)?.[1] ?? '');
      if (!one || one.ended) throw gone(path);
      return `populated 1\nfrozen ${one.frozen ? 1 : 0}\n`;
    },
    writeCgroupFile(node: Node, path: string, text: string): void {
      const name = CGROUPS.exec(path)?.[1] ?? '';
      if (!of(node, name)) throw gone(path);
      guests.setFrozen(node, name, text === '1');
    },
    mounts: (node: Node) => (node as Machine).mounts,
    containers: (node: Node) => (node as Machine).containers,
    /** Guests end with the power of their host. */
    lose(node: Machine): void {
      node.containers.clear();
      node.trials.clear();
      node.mounts.clear();
    },
  };
  return guests;
}
export type Guests = ReturnType<typeof createGuests>;
