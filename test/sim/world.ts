import { type Broker, createBroker } from './broker.ts';
import { type Disk, createDisk } from './disk.ts';
import { type Life, type Loop, type Node, type Random, createLoop, createRandom } from './loop.ts';
import type { Endpoint } from './parts/transfer.ts';
import type { Deed, Fault, Scenario } from './scenario.ts';
import { DATA, dataOf, uuidOf, versionOf } from './trees.ts';

export interface Container {
  name: string;
  uuid: string;
  pid: number;
  since: number;
  address: string;
  mac: string;
}
/** A host or the master with all that it has besides its disk. */
export interface Machine extends Node {
  containers: Map<string, Container>;
  mounts: Set<string>;
  /** So many starts of containers fail from now on. */
  nostart: number;
  lives: Life[];
  oldDisk?: Disk;
}
/** Where vservers lie on a host. */
export const VSERVERS = '/var/lib/vservers';
export const OWNED = '/var/lib/vs-tools/owned';

/** Begins a process on a machine; the code of it is that of vs-tools. */
export type Begin = (life: Life) => void;

/** The machines of a scenario, their processes, what runs on them, and what happens to them. */
export function createWorld(scenario: Scenario, begin: Begin, log?: (line: string) => void) {
  const loop: Loop = createLoop();
  const random: Random = createRandom(scenario.seed);
  const machines = new Map<string, Machine>();
  const cuts = new Map<string, number>();
  const violations: string[] = [];
  const triggers = new Map<string, Fault[]>();
  const counted = new Map<string, number>();
  const commandOf = new Map<string, string>();
  let stepTriggers = false;
  let afterTriggers = false;
  let pids = 100;
  let asked = 0;
  let changes = 0;
  /** When the last of what happens has ended (ms). */
  let busyUntil = 0;
  let handled = false;

  function say(who: string, text: string): void {
    log?.(`${String(Math.floor(loop.now())).padStart(7)} ${who.padEnd(6)} ${text}`);
  }
  function violate(text: string): void {
    if (violations.length < 20) violations.push(`${Math.floor(loop.now())} ms: ${text}`);
    say('!', text);
  }
  const machine = (name: string): Machine => {
    const one = machines.get(name);
    if (!one) throw new Error(`there is no ${name} in this scenario`);
    return one;
  };
  function start(node: Machine, process: string): void {
    if (process === 'broker') return world.broker.start();
    const life: Life = { node, process, dead: false };
    node.lives.push(life);
    begin(life);
  }
  function end(life: Life, silent: boolean): void {
    life.dead = true;
    const { lives: all } = life.node as Machine;
    all.splice(all.indexOf(life), 1);
    world.broker.gone(life, silent);
  }
  const busy = (ms: number) => (busyUntil = Math.max(busyUntil, loop.now() + ms));

  function kill(node: Machine, process: string, ms: number): void {
    if (!node.powered) return;
    busy(ms);
    say(node.name, `${process} is killed, back in ${ms} ms`);
    if (process === 'broker') world.broker.stop(false);
    const life = node.lives.find((one) => one.process === process);
    if (process !== 'broker' && !life) return;
    if (life) end(life, false);
    const { boot } = node;
    loop.after(ms, undefined, () => {
      if (node.boot === boot && node.powered) start(node, process);
    });
  }
  function power(node: Machine, ms: number): void {
    if (!node.powered) return;
    busy(ms + 3000);
    say(node.name, `its power is cut, back in ${ms} ms`);
    node.powered = false;
    node.boot++;
    changes++;
    for (const life of node.lives.slice()) end(life, true);
    if (node.name === 'master') world.broker.stop(true);
    node.containers.clear();
    node.mounts.clear();
    node.disk.cut(random);
    loop.after(ms, undefined, () => {
      node.powered = true;
      if (node.oldDisk) {
        node.disk = node.oldDisk;
        delete node.oldDisk;
        changes++;
      }
      say(node.name, 'boots');
      if (node.name === 'master') start(node, 'broker');
      start(node, node.name === 'master' ? 'master' : 'agent');
    });
  }
  function cut(a: string, b: string, ms: number): void {
    const key = [a, b].sort().join(' ');
    busy(ms);
    const until = loop.now() + ms;
    say(a, `is cut off from ${b} for ${ms} ms`);
    cuts.set(key, Math.max(until, cuts.get(key) ?? 0));
    if (b === 'master' || a === 'master') world.broker.cut(a === 'master' ? b : a);
    loop.after(ms, undefined, () => {
      if ((cuts.get(key) ?? 0) > until) return;
      cuts.delete(key);
      if (b === 'master' || a === 'master') world.broker.healed(a === 'master' ? b : a);
    });
  }
  function ask(target: string, command: string, args: object): void {
    if (!world.broker.up) return void loop.after(500, undefined, () => ask(target, command, args));
    const [service = '', verb = ''] = command.split('.');
    const scope = target === 'master' ? 'vs/1/master' : `vs/1/hosts/${target}`;
    const id = `person-${++asked}`;
    say('person', `${command}@${target} ${JSON.stringify(args)}`);
    world.broker.publish(
      `${scope}/commands/${service}/${verb}`,
      JSON.stringify({ id, replyTo: `${scope}/replies/person`, issuer: 'operator', args }),
    );
  }
  function happen(deed: Deed): void {
    switch (deed.what) {
      case 'kill':
        return kill(machine(deed.node), deed.process, deed.ms);
      case 'power':
        return power(machine(deed.node), deed.ms);
      case 'cut':
        return cut(deed.a, deed.b, deed.ms);
      case 'olddisk':
        machine(deed.node).oldDisk = machine(deed.node).disk.clone();
        return loop.after(deed.ms, undefined, () => power(machine(deed.node), 3000)) && undefined;
      case 'clock':
        say(deed.node, `its clock jumps by ${deed.ms} ms`);
        machine(deed.node).skew += deed.ms;
        return;
      case 'full':
        say(deed.node, `its disk is full for ${deed.ms} ms`);
        busy(deed.ms);
        machine(deed.node).full = true;
        loop.after(deed.ms, undefined, () => (machine(deed.node).full = false));
        return;
      case 'nostart':
        machine(deed.node).nostart += deed.times;
        return;
      case 'eio':
        machine(deed.node).eio += deed.times;
        return;
      case 'hand': {
        handled = true;
        const node = machine(deed.node);
        if (!node.powered) return;
        say(node.name, `a person types lxc-${deed.verb} ${deed.name}`);
        if (deed.verb === 'start') world.startContainer(node, deed.name);
        else world.stopContainer(node, deed.name);
        return;
      }
      case 'ask':
        return ask(deed.target, deed.command, deed.args);
      case 'abort':
      case 'resume': {
        const want = deed.what === 'abort' ? '"result":"running"' : '"result":"stuck"';
        for (const [topic, text] of world.broker.retained)
          if (topic.startsWith('vs/1/sagas/') && text.includes(want))
            ask('master', `orchestrator.${deed.what}`, { id: topic.split('/')[3] });
      }
    }
  }
  function trigger(key: string): void {
    const here = triggers.get(key);
    if (!here) return;
    const n = (counted.get(key) ?? 0) + 1;
    counted.set(key, n);
    for (const { when, deed } of here)
      if (!('n' in when) || when.kind === 'call' || when.n === n) happen(deed);
    if (key.startsWith('step ') || key.startsWith('call ')) triggers.delete(key);
  }

  const world = {
    loop,
    random,
    scenario,
    machines,
    violations,
    endpoints: new Map<number, Endpoint>(),
    /** Files that are open, by number. */
    files: new Map<number, unknown>(),
    lastFile: 10,
    lastPort: 1000,
    broker: undefined as unknown as Broker,
    say,
    violate,
    isLogged: log !== undefined,
    machine,
    ask,
    get changes() {
      return changes;
    },
    get busyUntil() {
      return busyUntil;
    },
    /** A person did something past the agents. */
    get handled() {
      return handled;
    },
    isCut: (a: string, b: string): boolean => {
      if (a === b) return false;
      if (!machine(a).powered || !machine(b).powered) return true;
      return cuts.size > 0 && cuts.has(a < b ? `${a} ${b}` : `${b} ${a}`);
    },
    hasCuts: () => cuts.size > 0,
    isBtrfs: (node: Node): boolean => scenario.btrfs.includes(node.name),
    mounts: (node: Node) => (node as Machine).mounts,
    containers: (node: Node) => (node as Machine).containers,
    onCall(life: Life, call: string): void {
      if (triggers.size > 0) trigger(`call ${life.node.calls}@${life.node.name}`);
      void call;
    },
    procFile(node: Node, path: string): string {
      if (path === '/proc/self/mountinfo')
        return [...(node as Machine).mounts].map((mount) => `1 1 0:1 / ${mount} rw`).join('\n');
      throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    },
    /** What the broker has got. */
    onMessage(topic: string, text: string): void {
      if (topic.startsWith('vs/1/sagas/')) {
        if (stepTriggers && topic.endsWith('/state') && text !== '') {
          const { steps } = JSON.parse(text) as { steps: { step: string; state: string }[] };
          for (const { step, state } of steps) if (state === 'running') trigger(`step ${step}`);
        }
        return;
      }
      if (!topic.includes('/commands/') && !topic.includes('/replies/')) return;
      const levels = topic.split('/');
      const node = levels[2] === 'master' ? 'master' : (levels[3] ?? '');
      const [kind, service = '', verb = ''] = levels[2] === 'master' ? levels.slice(3) : levels.slice(4);
      if (kind === 'commands') {
        const key = `${service}.${verb}@${node}`;
        if (log || afterTriggers) {
          const { id, args, cancel } = JSON.parse(text) as { id: string; args: unknown; cancel?: boolean };
          commandOf.set(id, key);
          if (log) say(node, `<- ${service}.${verb}${cancel ? ' cancel' : ''}`);
          void args;
        }
        if (triggers.size > 0) trigger(`on ${key}`);
      } else if (
        kind === 'replies' &&
        (log || afterTriggers || service === 'person' || text.includes('"internal"'))
      ) {
        const reply = JSON.parse(text) as {
          id: string;
          ok?: boolean;
          error?: { code: string; message: string };
        };
        if (reply.ok === undefined) return;
        if (reply.error?.code === 'internal') violate(`${node} has a fault inside: ${reply.error.message}`);
        if (log && (!reply.ok || service === 'person'))
          say(node, reply.ok ? 'ok' : `refuses ${commandOf.get(reply.id) ?? ''}: ${reply.error?.message}`);
        if (reply.ok) trigger(`after ${commandOf.get(reply.id)}`);
      }
    },
    /** The runtime starts a vserver; or the reason why not (its hook looks at the ownership file). */
    startContainer(at: Node, name: string): string | undefined {
      const node = at as Machine;
      const tree = `${VSERVERS}/${name}`;
      if (node.containers.has(name)) return undefined;
      const config = node.disk.text(`${tree}/vserver.json`);
      if (config === undefined || !node.disk.find(`${tree}/rootfs`)) return 'there is nothing to start';
      if (!node.disk.find(`${tree}/config`)) return 'it is not configured';
      if (!/"owner": *true/.test(node.disk.text(`${OWNED}/${name}.json`) ?? '')) {
        return 'this host does not own it';
      }
      if (node.nostart > 0) {
        node.nostart--;
        return 'the cgroup could not be made';
      }
      const { address, mac } = JSON.parse(config) as { address: string; mac: string };
      if (versionOf(node.disk, tree) === undefined) violate(`${name} starts on ${node.name} with torn files`);
      node.containers.set(name, {
        name,
        uuid: uuidOf(node.disk, tree) ?? '',
        pid: ++pids,
        since: loop.now(),
        address,
        mac,
      });
      changes++;
      say(node.name, `${name} starts`);
      return undefined;
    },
    stopContainer(at: Node, name: string): void {
      const node = at as Machine;
      if (!node.containers.has(name)) return;
      world.guestWrites(node, `${VSERVERS}/${name}`);
      node.containers.delete(name);
      changes++;
      say(node.name, `${name} stops`);
    },
    /** A guest that runs changes its files at any time; so it does, by chance, before they are looked at. */
    guestWrites(node: Node, path: string): void {
      const name = path.slice(VSERVERS.length + 1).split('/')[0] ?? '';
      if (!path.startsWith(`${VSERVERS}/`) || !(node as Machine).containers.has(name) || random.chance(0.5))
        return;
      const tree = `${VSERVERS}/${name}`;
      const file = node.disk.find(`${tree}/${DATA}`);
      const version = versionOf(node.disk, tree);
      if (file?.kind === 'file' && version !== undefined && !node.full)
        node.disk.write(file, dataOf(version + 1), tree);
    },
    whoAnswers(from: Node, address: string, bootMs: number): string | undefined {
      for (const node of machines.values()) {
        if (!node.powered || world.isCut(from.name, node.name)) continue;
        for (const one of node.containers.values())
          if (one.address === address && loop.now() - one.since >= bootMs) return one.mac;
      }
      return undefined;
    },
    /** All that shall happen is awaited from now on. */
    expect(faults: Fault[]): void {
      for (const fault of faults) {
        const { when, deed } = fault;
        if (when.kind === 'at') {
          busy(when.ms);
          loop.after(when.ms, undefined, () => happen(deed));
          continue;
        }
        const key =
          when.kind === 'step'
            ? `step ${when.step}`
            : when.kind === 'call'
              ? `call ${machine(when.node).calls + when.n}@${when.node}`
              : `${when.kind} ${when.command}@${when.node}`;
        if (when.kind === 'step') stepTriggers = true;
        if (when.kind === 'after') afterTriggers = true;
        triggers.set(key, [...(triggers.get(key) ?? []), fault]);
      }
    },
    boot(): void {
      start(machine('master'), 'broker');
      for (const node of machines.values()) start(node, node.name === 'master' ? 'master' : 'agent');
    },
  };
  for (const name of ['master', ...scenario.hosts])
    machines.set(name, {
      name,
      disk: createDisk(() => loop.now()),
      skew: random.between(-200, 200),
      calls: 0,
      boot: 0,
      powered: true,
      full: false,
      eio: 0,
      containers: new Map(),
      mounts: new Set(),
      nostart: 0,
      lives: [],
    });
  world.broker = createBroker(world);
  return world;
}
export type World = ReturnType<typeof createWorld>;
