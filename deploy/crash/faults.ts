import { setTimeout as sleep } from 'node:timers/promises';
import { setClock } from '../lab/clock.ts';
import { emptyDisk, fillDisk } from '../lab/full.ts';
import { bootNode, killNode } from '../lab/node.ts';
import { cut, heal } from '../lab/wires.ts';
import type { Parts } from './spec.ts';
import { type Host, type World, nodeNamed, pidOf, serviceOn } from './world.ts';

type Need = 'source' | 'target' | 'both' | 'dead';
/** Mends it in its time, which may be the end of the saga. */
type Mend = (hasEnded: () => boolean) => Promise<void>;
/** A way to break something; a column of the matrix. */
export interface Fault {
  /** What of the saga it needs; one without it has no such column. */
  needs?: Need;
  /** Which set it belongs to. */
  set: 'kill' | 'power' | 'cut' | 'long' | 'full' | 'clock';
  /** What it is, for the help. */
  what: string;
  /** Breaks it, and answers what mends it again, as far as that is not left to the services themselves. */
  strike(world: World, parts: Parts): Promise<Mend>;
  /** How long (ms) a saga may take to its end after it. */
  endsWithin: number;
}

const nothing = async (): Promise<void> => {};
const end = (world: World, node: string, service: string): Mend => {
  const pid = pidOf(world.lab, node, service);
  if (pid) process.kill(pid, 'SIGKILL'); // its init starts it again after a second
  return nothing;
};
const sourceOf = ({ source }: Parts): Host => {
  if (!source) throw new Error('this saga has no source');
  return source;
};
const targetOf = (parts: Parts): Host => {
  if (!parts.target) throw new Error('this saga has no target');
  return parts.target;
};
/** Has a saga the column of this fault? */
export function fits(fault: Fault | undefined, parts: Parts): boolean {
  if (fault?.needs === undefined) return true;
  const needs = fault.needs === 'both' ? (['source', 'target'] as const) : [fault.needs];
  return needs.every((part) => parts[part] !== undefined);
}

const kill = (what: string, of: (parts: Parts) => [string, string], needs?: Need): Fault => ({
  set: 'kill',
  what,
  endsWithin: 90_000,
  ...(needs ? { needs } : {}),
  strike: async (world, parts) => end(world, ...of(parts)),
});
const power = (what: string, of: (parts: Parts) => string, needs?: Need): Fault => ({
  set: 'power',
  what,
  endsWithin: 180_000,
  ...(needs ? { needs } : {}),
  async strike(world, parts) {
    const node = nodeNamed(world, of(parts));
    await killNode(world.lab, node);
    return async () => {
      await sleep(1000);
      await bootNode(world.lab, node);
    };
  },
});
/** A cut of the management network: towards one node, or of a node altogether; healed after so long (ms). */
const cutting = (
  what: string,
  of: (parts: Parts) => [string, string | undefined],
  lasts: number,
  needs?: Need,
): Fault => ({
  set: lasts > 30_000 ? 'long' : 'cut',
  what,
  endsWithin: lasts + 240_000,
  ...(needs ? { needs } : {}),
  async strike(world, parts) {
    await cut(world.lab, ...of(parts));
    return async () => {
      await sleep(lasts);
      await heal(world.lab);
    };
  },
});

/** Waits for the end of the saga, but not longer than that (ms). */
async function atMost(ms: number, hasEnded: () => boolean): Promise<void> {
  const until = Date.now() + ms;
  while (!hasEnded() && Date.now() < until) await sleep(200);
}
const full = (what: string, of: (parts: Parts) => Host, needs?: Need): Fault => ({
  set: 'full',
  what,
  endsWithin: 240_000,
  ...(needs ? { needs } : {}),
  async strike(world, parts) {
    const node = nodeNamed(world, of(parts));
    await fillDisk(world.lab, node, 1);
    return async (hasEnded) => {
      await atMost(15_000, hasEnded);
      await emptyDisk(world.lab, node);
    };
  },
});
/** The journals have no room for a while; who waits for room goes on, who does not is started again, as its alert says. */
const fullMaster: Fault = {
  set: 'full',
  what: 'no room for the journals on the master for 8 s',
  endsWithin: 240_000,
  async strike(world) {
    const node = nodeNamed(world, 'master');
    await fillDisk(world.lab, node, 0);
    return async (hasEnded) => {
      await atMost(8000, hasEnded);
      await emptyDisk(world.lab, node);
      await atMost(20_000, hasEnded);
      if (!hasEnded()) end(world, 'master', serviceOn('master'));
    };
  },
};
/** The time of day of a node's services jumps, and comes back after the saga. */
const clock = (what: string, of: (parts: Parts) => string, seconds: number, needs?: Need): Fault => ({
  set: 'clock',
  what,
  endsWithin: 240_000,
  ...(needs ? { needs } : {}),
  async strike(world, parts) {
    const node = nodeNamed(world, of(parts));
    await setClock(world.lab, node, seconds);
    await sleep(1200); // its services read it once a second
    return async (hasEnded) => {
      await atMost(60_000, hasEnded);
      await setClock(world.lab, node, 0);
      await sleep(1200);
    };
  },
});
const HOUR = 3600;

const SHORT = 5000;
/** Longer than a host is waited for (30 s), than keepalives and the timeout of a command. */
const LONG = 75_000;

export const faults: Record<string, Fault> = {
  orchestrator: kill('SIGKILL of the orchestrator', () => ['master', serviceOn('master')]),
  broker: kill('SIGKILL of the broker', () => ['master', 'broker']),
  'source-agent': kill('SIGKILL of the source’s agent', (parts) => [sourceOf(parts), 'agent'], 'source'),
  'target-agent': kill('SIGKILL of the target’s agent', (parts) => [targetOf(parts), 'agent'], 'target'),
  'master-power': power('power cut of the master', () => 'master'),
  'source-power': power('power cut of the source', sourceOf, 'source'),
  'target-power': power('power cut of the target', targetOf, 'target'),
  'dead-returns': {
    set: 'power',
    what: 'the host that is said to be dead comes back',
    needs: 'dead',
    endsWithin: 180_000,
    async strike(world, { dead }) {
      if (dead) await bootNode(world.lab, nodeNamed(world, dead));
      return nothing;
    },
  },
  'cut-hosts': cutting(
    'no way between the hosts for 5 s',
    (parts) => [sourceOf(parts), targetOf(parts)],
    SHORT,
    'both',
  ),
  'cut-source': cutting(
    'no way from the source to the master for 5 s',
    (parts) => [sourceOf(parts), 'master'],
    SHORT,
    'source',
  ),
  'cut-target': cutting(
    'no way from the target to the master for 5 s',
    (parts) => [targetOf(parts), 'master'],
    SHORT,
    'target',
  ),
  'long-hosts': cutting(
    'no way between the hosts for 75 s',
    (parts) => [sourceOf(parts), targetOf(parts)],
    LONG,
    'both',
  ),
  'long-source': cutting(
    'no way from the source to the master for 75 s',
    (parts) => [sourceOf(parts), 'master'],
    LONG,
    'source',
  ),
  'long-target': cutting(
    'no way from the target to the master for 75 s',
    (parts) => [targetOf(parts), 'master'],
    LONG,
    'target',
  ),
  'full-source': full('no room on the source until the end, at most 15 s', sourceOf, 'source'),
  'full-target': full('no room on the target until the end, at most 15 s', targetOf, 'target'),
  'full-master': fullMaster,
  'ahead-master': clock('the clock of the master jumps an hour forwards', () => 'master', HOUR),
  'back-master': clock('the clock of the master jumps an hour backwards', () => 'master', -HOUR),
  'ahead-source': clock('the clock of the source jumps an hour forwards', sourceOf, HOUR, 'source'),
  'back-source': clock('the clock of the source jumps an hour backwards', sourceOf, -HOUR, 'source'),
  'ahead-target': clock('the clock of the target jumps an hour forwards', targetOf, HOUR, 'target'),
  'back-target': clock('the clock of the target jumps an hour backwards', targetOf, -HOUR, 'target'),
};
export const faultSets = ['kill', 'power', 'cut', 'long', 'full', 'clock'] as const;
