import { describe, expect, test } from 'vitest';
import { systemClock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { Agents } from '../../services/orchestrator/agent.ts';
import { buildSaga } from '../../services/orchestrator/build.ts';
import { execute } from '../../services/orchestrator/executor.ts';
import { type Journals, openJournals } from '../../services/orchestrator/journal.ts';
import type { MovePlan } from '../../services/orchestrator/sagas/move.ts';
import { dying, quietly } from './saga-kit.ts';
import { temporary } from './temporary.ts';

const basic: MovePlan = {
  name: 'web1',
  source: 'host1',
  target: 'host2',
  sourceAddress: '10.0.0.1',
  copy: 'rsync',
  channel: 'tls',
  bytes: 1e6,
  files: 10,
  running: true,
  epoch: 1,
  network: 'blue',
};

/** Two hosts in memory, whose commands may be repeated, and which check that there are never two running copies. */
function world() {
  const state = {
    owner: new Set(['host1']),
    running: new Set(['host1']),
    frozen: new Set<string>(),
    trees: new Set(['host1']),
    locks: new Set<string>(),
    staging: new Set<string>(),
  };
  const act: Record<string, (host: string) => object | void> = {
    'host-agent.lock': (host) => (state.locks.add(host), { epoch: 1, enabled: true, state: 'running' }),
    'host-agent.unlock': (host) => void state.locks.delete(host),
    'snapshot.allocate': (host) => (state.staging.add(host), { path: '', free: 1e9 }),
    'snapshot.discard': (host) => void state.staging.delete(host),
    'transfer.open': () => ({ address: '10.0.0.2', port: 1, secret: 'SECRET', received: [] }),
    'transfer.send': () => ({ bytes: 100, ms: 1, began: 1 }),
    'snapshot.adopt': (host) => void state.trees.add(host),
    'snapshot.evict': (host) => {
      if (state.owner.has(host)) throw new VsError('refused', `${host} owns it`);
      state.trees.delete(host);
    },
    'host-agent.stop': (host) => {
      state.running.delete(host);
      state.frozen.delete(host);
    },
    'host-agent.freeze': (host) => void (state.running.delete(host) && state.frozen.add(host)),
    'host-agent.thaw': (host) => {
      if (!state.owner.has(host)) throw new VsError('refused', `${host} does not own it`);
      if (state.frozen.delete(host)) state.running.add(host);
    },
    'host-agent.start': (host) => {
      if (!state.owner.has(host)) throw new VsError('refused', `${host} does not own it`);
      state.running.add(host);
      if (state.running.size > 1) throw new Error('two copies run');
    },
    'host-agent.release': (host) => {
      if (state.running.has(host)) throw new VsError('refused', 'it runs');
      state.owner.delete(host);
    },
    'host-agent.claim': (host) => {
      state.owner.add(host);
      if (state.owner.size > 1) throw new Error('two owners');
    },
    'snapshot.trash': (host) => (state.trees.delete(host), { until: 0 }),
  };
  const calls: string[] = [];
  const fault: { at?: number; forever?: string } = {};
  const agents: Agents = {
    seal: (_host, secret) => `sealed ${secret.length}`,
    async ask(host, command, _args, context) {
      context.command(command);
      calls.push(`${command}@${host}`);
      const result = act[command]?.(host) ?? {}; // the effect may have happened although the answer is an error
      if (calls.length === fault.at || fault.forever === `${command}@${host}`)
        throw new VsError('failed', 'no space left');
      return result as never;
    },
  };
  const view = () => Object.fromEntries(Object.entries(state).map(([key, set]) => [key, [...set].sort()]));
  return { agents, calls, fault, view };
}
const before = { owner: ['host1'], running: ['host1'], frozen: [], trees: ['host1'], locks: [], staging: [] };
const after = { owner: ['host2'], running: ['host2'], frozen: [], trees: ['host2'], locks: [], staging: [] };

const fresh = () => openJournals(temporary('saga'));
const begin = (journals: Journals) => journals.append('m1', { kind: 'begin' });
function lifeOf(
  plan: MovePlan,
  journals: Journals,
  agents: Agents,
  parts = quietly(journals),
): Promise<SagaState> {
  const state: SagaState = {
    id: 'm1',
    kind: 'move',
    vserver: 'web1',
    args: {},
    result: 'running',
    title: '',
    steps: [],
    started: Date.now(),
  };
  return execute(buildSaga({ kind: 'move', plan }, state, agents), parts);
}

test('a clock that is set back by an hour in its middle changes no duration', async () => {
  const journals = fresh();
  begin(journals);
  const { agents } = world();
  let back = 0;
  const clock = { ...systemClock, now: () => Date.now() - back };
  const jumping: Agents = {
    ...agents,
    ask: (host, command, args, context, options) => {
      if (command === 'host-agent.stop') back = 3_600_000;
      return agents.ask(host, command, args, context, options);
    },
  };
  const end = await lifeOf(basic, journals, jumping, { ...quietly(journals), clock });
  expect(end.result).toBe('done');
  expect(end.downtimeMs).toBeGreaterThanOrEqual(0);
  expect(end.ended).toBeGreaterThanOrEqual(end.started);
  for (const { ms } of end.steps) expect(ms).toBeGreaterThanOrEqual(0);
  expect(end.message).toMatch(/: 0\.\d+ s in all, 0\.\d+ s of it down/);
});

describe.each([
  { how: 'by a stop', more: {} },
  { how: 'by a freeze', more: { crashConsistent: true } },
])('a move $how', ({ more }) => {
  const life = (journals: Journals, agents: Agents) => lifeOf({ ...basic, ...more }, journals, agents);

  test('ends done, without a secret in its journal', async () => {
    const { agents, view } = world();
    const journals = fresh();
    begin(journals);
    const state = await life(journals, agents);
    expect(state.result).toBe('done');
    expect(view()).toEqual(after);
    expect(state.downtimeMs).toBeGreaterThanOrEqual(0);
    expect(JSON.stringify(journals.read('m1'))).not.toContain('SECRET');
  });

  test('each call failing once: done or undone, and the world agrees', { timeout: 60_000 }, async () => {
    const dry = world();
    const first = fresh();
    begin(first);
    await life(first, dry.agents);
    for (let at = 1; at <= dry.calls.length; at++) {
      const one = world();
      one.fault.at = at;
      const journals = fresh();
      begin(journals);
      const { result } = await life(journals, one.agents);
      const past = at > dry.calls.indexOf('host-agent.release@host1');
      // without a connection made before, the final pass makes its own
      const connect = dry.calls.indexOf('transfer.connect@host1') + 1;
      const done = past || at === connect || at === connect - 1;
      expect([at, result]).toEqual([at, done ? 'done' : 'undone']);
      expect(one.view(), `call ${at}: ${dry.calls[at - 1]}`).toEqual(done ? after : before);
    }
  });

  test('a crash at each journal line, then a resume: done, one copy', { timeout: 60_000 }, async () => {
    for (const written of [true, false]) {
      for (let last = 1; ; last++) {
        const one = world();
        const journals = fresh();
        begin(journals);
        const crashed = await life(dying(journals, last, written), one.agents).then(
          () => false,
          () => true,
        );
        if (!crashed) break;
        if (journals.read('m1').some((line) => line.kind === 'end')) continue;
        const { result } = await life(journals, one.agents);
        expect([last, result]).toEqual([last, 'done']);
        expect(one.view()).toEqual(after);
      }
    }
  });

  test('past the point of no return a lasting fault ends stuck and never starts the source', async () => {
    const one = world();
    one.fault.forever = 'host-agent.answering@host2';
    const journals = fresh();
    begin(journals);
    const state = await life(journals, one.agents);
    expect(state.result).toBe('stuck');
    expect(one.calls).not.toContain('host-agent.start@host1');
    delete one.fault.forever;
    expect((await life(journals, one.agents)).result).toBe('done');
    expect(one.view()).toEqual(after);
  });
});
