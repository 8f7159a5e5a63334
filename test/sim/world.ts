import { type Broker, createBroker } from './broker.ts';
import { type Deeds, createDeeds } from './deeds.ts';
import { type Disk, createDisk } from './disk.ts';
import { type Container, type Guests, type Trial, createGuests } from './guests.ts';
import { type Life, type Node, createLoop, createRandom } from './loop.ts';
import type { Endpoint } from './parts/transfer.ts';
import type { Scenario } from './scenario.ts';
import { type Triggers, createTriggers } from './triggers.ts';

/** A host or the master with all that it has besides its disk. */
export interface Machine extends Node {
  containers: Map<string, Container>;
  /** Backups that are tried, beside the vservers. */
  trials: Map<string, Trial>;
  mounts: Set<string>;
  /** So many starts of containers fail from now on. */
  nostart: number;
  lives: Life[];
  oldDisk?: Disk;
}
/** Begins a process on a machine; the code of it is that of vs-tools. */
export type Begin = (life: Life) => void;

const pair = (a: string, b: string) => (a < b ? `${a} ${b}` : `${b} ${a}`);

/** The machines of a scenario, their processes and the ways between them. */
function createCore(scenario: Scenario, begin: Begin, log?: (line: string) => void) {
  const loop = createLoop();
  const random = createRandom(scenario.seed);
  const machines = new Map<string, Machine>();
  const cuts = new Map<string, number>();
  const violations: string[] = [];
  let changes = 0;

  const core = {
    loop,
    random,
    scenario,
    machines,
    violations,
    broker: undefined as unknown as Broker,
    isLogged: log !== undefined,
    say(who: string, text: string): void {
      log?.(`${String(Math.floor(loop.now())).padStart(7)} ${who.padEnd(6)} ${text}`);
    },
    violate(text: string): void {
      if (violations.length < 20) violations.push(`${Math.floor(loop.now())} ms: ${text}`);
      core.say('!', text);
    },
    machine(name: string): Machine {
      const one = machines.get(name);
      if (!one) throw new Error(`there is no ${name} in this scenario`);
      return one;
    },
    start(node: Machine, process: string): void {
      if (process === 'broker') return core.broker.start();
      const life: Life = { node, process, dead: false };
      node.lives.push(life);
      loop.after(0, life, () => begin(life));
    },
    end(life: Life, silent: boolean): void {
      life.dead = true;
      const { lives: all } = life.node as Machine;
      all.splice(all.indexOf(life), 1);
      core.broker.gone(life, silent);
    },
    /** Counts what happens beside the disks: who watches looks again. */
    changed: () => void changes++,
    changes: () => changes,
    isBtrfs: (node: Node): boolean => scenario.btrfs.includes(node.name),
    isCut: (a: string, b: string): boolean => {
      if (a === b) return false;
      if (!core.machine(a).powered || !core.machine(b).powered) return true;
      return cuts.size > 0 && cuts.has(pair(a, b));
    },
    hasCuts: () => cuts.size > 0,
    cut(a: string, b: string, until: number): void {
      cuts.set(pair(a, b), Math.max(until, cuts.get(pair(a, b)) ?? 0));
      if (b === 'master' || a === 'master') core.broker.cut(a === 'master' ? b : a);
    },
    /** The end of a cut, unless a longer one has come meanwhile. */
    heal(a: string, b: string, until: number): void {
      if ((cuts.get(pair(a, b)) ?? 0) > until) return;
      cuts.delete(pair(a, b));
      if (b === 'master' || a === 'master') core.broker.healed(a === 'master' ? b : a);
    },
    boot(): void {
      core.start(core.machine('master'), 'broker');
      for (const node of machines.values()) core.start(node, node.name === 'master' ? 'master' : 'agent');
    },
  };
  for (const name of ['master', ...scenario.hosts])
    machines.set(name, {
      name,
      disk: createDisk(loop.now),
      skew: random.between(-200, 200),
      calls: 0,
      boot: 0,
      powered: true,
      full: false,
      eio: 0,
      containers: new Map(),
      trials: new Map(),
      mounts: new Set(),
      nostart: 0,
      lives: [],
    });
  return core;
}
export type Core = ReturnType<typeof createCore>;

export interface World extends Core {
  guests: Guests;
  deeds: Deeds;
  triggers: Triggers;
  endpoints: Map<number, Endpoint>;
  /** Files that are open, by number. */
  files: Map<number, unknown>;
  lastFile: number;
  lastPort: number;
}

/** All of a simulated pool, before it boots. */
export function createWorld(scenario: Scenario, begin: Begin, log?: (line: string) => void): World {
  const core = createCore(scenario, begin, log);
  const guests = createGuests(core);
  const deeds = createDeeds(core, guests);
  const triggers = createTriggers(core, deeds);
  core.broker = createBroker({ ...core, onMessage: triggers.onMessage });
  return Object.assign(core, {
    guests,
    deeds,
    triggers,
    endpoints: new Map<number, Endpoint>(),
    files: new Map<number, unknown>(),
    lastFile: 10,
    lastPort: 1000,
  });
}
