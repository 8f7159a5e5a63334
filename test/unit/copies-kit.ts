import { expect } from 'vitest';
import type { Agents } from '../../services/orchestrator/agent.ts';
import { type Plan, buildSaga } from '../../services/orchestrator/build.ts';
import { execute } from '../../services/orchestrator/executor.ts';
import type { Journals, Line } from '../../services/orchestrator/journal.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { dying, quietly } from './saga-kit.ts';

type Map_ = Record<string, string>;

/** What a master and two hosts have of web1. A tree is a word that says which version it is. */
export interface World {
  trees: Map_;
  trash: Map_;
  owner: Record<string, number>;
  running: string[];
  enabled: string[];
  /** Hosts that can be asked. */
  online: string[];
  /** Who answers at the address. */
  answers: string | null;
}

/**
 * A pool in memory, whose commands may be repeated. It throws when two copies run, when two that can be asked own it, when an
 * epoch is not new, and when the last copy would be lost.
 */
export function pool(start: Partial<World>) {
  const world = structuredClone({
    trees: {},
    trash: {},
    owner: {},
    running: [],
    enabled: [],
    online: ['master', 'host1', 'host2'],
    answers: null,
    ...start,
  }) as World;
  const staging: Map_ = {};
  const snapshots = new Set<string>();
  const locks = new Set<string>();
  let highest = Math.max(0, ...Object.values(world.owner));
  const without = (list: string[], one: string) => list.filter((other) => other !== one);
  const copies = () => [
    ...Object.values(world.trees),
    ...Object.values(world.trash),
    ...Object.values(staging),
  ];

  const act: Record<string, (host: string, args: Record<string, unknown>) => object | void> = {
    'orchestrator.hosts': () => ({
      hosts: ['host1', 'host2'].map((host) => ({
        host,
        state: world.online.includes(host) ? 'online' : 'offline',
      })),
    }),
    'orchestrator.scan': () => ({
      rows: Object.keys(world.owner).map((host) => ({
        host,
        vserver: 'web1',
        state: !world.online.includes(host)
          ? 'unknown'
          : world.running.includes(host)
            ? 'running'
            : 'stopped',
        epoch: world.owner[host],
      })),
    }),
    'host-agent.lock': (host) => (locks.add(host), { epoch: 0, enabled: false, state: 'stopped' }),
    'host-agent.unlock': (host) => void locks.delete(host),
    'host-agent.show': (host) => ({ state: { state: world.running.includes(host) ? 'running' : 'stopped' } }),
    'network.check': () => ({ answers: world.answers }),
    'snapshot.allocate': (host) => ((staging[host] ??= 'empty'), { path: '', free: 1e9 }),
    'snapshot.discard': (host) => void delete staging[host],
    'snapshot.renew': (host) => void snapshots.add(host),
    'snapshot.remove': (host) => void snapshots.delete(host),
    'transfer.open': () => ({ address: '10.0.0.2', port: 1, secret: 'SECRET', received: [] }),
    'transfer.send': (host, { toHost, trash }) => {
      staging[String(toHost)] = (trash ? world.trash[host] : world.trees[host]) ?? 'nothing';
      return { bytes: 100, ms: 1, began: 1, treeBytes: 100, treeFiles: 1 };
    },
    'transfer.verify': (host) => {
      if (['nothing', 'empty', undefined].includes(staging[host])) throw new VsError('failed', 'not whole');
    },
    'snapshot.describe': (host) =>
      void (staging[host] = `${String(staging[host]).replace(' disabled', '')} disabled`),
    'snapshot.trash': (host) => {
      const tree = world.trees[host];
      if (tree === undefined) return { until: 0 };
      if (world.trash[host] !== undefined) throw new Error('what has just come would go into the trash');
      world.trash[host] = tree;
      delete world.trees[host];
      return { until: 0 };
    },
    'snapshot.recall': (host) => {
      if (world.trash[host] === undefined) return;
      staging[host] = world.trash[host];
      delete world.trash[host];
    },
    'snapshot.return': (host) => {
      const tree = staging[host];
      if (tree === undefined || tree === 'empty' || world.trash[host] !== undefined) return;
      world.trash[host] = tree;
      staging[host] = 'empty';
    },
    'snapshot.adopt': (host) => {
      if (staging[host] === 'adopted') return;
      if (world.trees[host] !== undefined) throw new VsError('conflict', `${host} has it already`);
      world.trees[host] = staging[host] ?? 'nothing';
      staging[host] = 'adopted';
    },
    'snapshot.evict': (host) => {
      if (world.owner[host]) throw new VsError('refused', `${host} owns it`);
      if (staging[host] !== 'adopted') return;
      staging[host] = world.trees[host] ?? 'nothing';
      delete world.trees[host];
    },
    'host-agent.claim': (host, { epoch }) => {
      if (world.owner[host] === epoch) return;
      if (Number(epoch) <= highest) throw new Error(`epoch ${String(epoch)} is not new`);
      if (Object.keys(world.owner).some((other) => other !== host && world.online.includes(other)))
        throw new Error('two owners');
      highest = Number(epoch);
      world.owner[host] = Number(epoch);
    },
    'host-agent.release': (host, { epoch }) => {
      if (world.owner[host] !== epoch) throw new VsError('conflict', 'it is not owned here');
      delete world.owner[host];
    },
    'host-agent.enable': (host) => void (world.enabled = [...without(world.enabled, host), host]),
    'host-agent.disable': (host) => void (world.enabled = without(world.enabled, host)),
    'host-agent.start': (host) => {
      if (!world.owner[host]) throw new VsError('refused', `${host} does not own it`);
      world.running = [...without(world.running, host), host];
      if (world.running.filter((one) => world.online.includes(one)).length > 1)
        throw new Error('two copies run');
    },
  };
  const calls: string[] = [];
  const fault: { at?: number; forever?: string } = {};
  const agents: Agents = {
    seal: (_host, secret) => `sealed ${secret.length}`,
    async ask(host, command, args, context, options) {
      context.command(`${command}${options?.tag ?? ''}`);
      if (!world.online.includes(host)) throw new VsError('unavailable', `${host} is offline`);
      calls.push(`${command}@${host}`);
      const result = act[command]?.(host, args as Record<string, unknown>) ?? {}; // it may have happened although the answer is an error
      if (copies().every((tree) => ['empty', 'adopted', 'nothing'].includes(tree)))
        throw new Error('no copy is left');
      if (calls.length === fault.at || fault.forever === `${command}@${host}`)
        throw new VsError('failed', 'no space left');
      return result as never;
    },
  };
  const view = () => ({ ...world, staging, snapshots: [...snapshots], locks: [...locks] });
  return { agents, calls, fault, view, world };
}
type Pool = ReturnType<typeof pool>;

/** A journal in memory: what a disk makes of it is tried elsewhere, and here are thousands of lines. */
export const fresh = (): Journals => {
  const lines: Line[] = [{ ts: 0, kind: 'begin' }];
  return {
    append: (_id: string, line: Omit<Line, 'ts'>) => void lines.push({ ts: Date.now(), ...line } as Line),
    read: () => structuredClone(lines),
    ids: () => ['s1'],
  } as unknown as Journals;
};
/** One life of the orchestrator with a saga. */
export function life(journals: Journals, plan: Plan, agents: Agents): Promise<SagaState> {
  const state: SagaState = {
    id: 's1',
    kind: plan.kind,
    vserver: 'web1',
    args: {},
    result: 'running',
    title: '',
    steps: [],
    started: Date.now(),
  };
  return execute(buildSaga(plan, state, agents), quietly(journals));
}
export const run = (plan: Plan, one: Pool): Promise<SagaState> => life(fresh(), plan, one.agents);

/** Each call fails once: before `pnr` (a call) the world is as it was, from it on as it shall be. */
export async function failEach(
  plan: Plan,
  start: Partial<World>,
  ends: { after: object; pnr?: string },
): Promise<number> {
  const dry = pool(start);
  const before = pool(start).view();
  expect((await run(plan, dry)).result).toBe('done');
  expect(dry.view()).toMatchObject(ends.after);
  for (let at = 1; at <= dry.calls.length; at++) {
    const one = pool(start);
    one.fault.at = at;
    const { result } = await run(plan, one);
    const past = ends.pnr !== undefined && at > dry.calls.indexOf(ends.pnr);
    const what = `call ${at}: ${dry.calls[at - 1]}`;
    expect([what, result]).toEqual([what, past ? 'done' : 'undone']);
    if (past) expect(one.view(), what).toMatchObject(ends.after);
    else expect(one.view(), what).toEqual(before);
  }
  return dry.calls.length;
}

/** A crash at each line of the journal, before and after it is written; another life goes on to the end. */
export async function crashEach(plan: Plan, start: Partial<World>, after: object): Promise<number> {
  let crashes = 0;
  for (const written of [true, false]) {
    for (let last = 1; ; last++) {
      const one = pool(start);
      const journals = fresh();
      const crashed = await life(dying(journals, last, written), plan, one.agents).then(
        () => false,
        () => true,
      );
      if (!crashed) break;
      if (journals.read('s1').some((line) => line.kind === 'end')) continue;
      crashes++;
      const { result } = await life(journals, plan, one.agents);
      expect([last, result]).toEqual([last, 'done']);
      expect(one.view(), `line ${last}`).toMatchObject(after);
    }
  }
  return crashes;
}
