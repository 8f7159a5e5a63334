import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Plan, buildSaga } from '../../services/orchestrator/build.ts';
import type { Agents } from '../../services/orchestrator/agent.ts';
import { execute } from '../../services/orchestrator/executor.ts';
import { type Journals, openJournals } from '../../services/orchestrator/journal.ts';
import type { CreatePlan } from '../../services/orchestrator/plans/create-plan.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import { type Tree, world } from './names-world.ts';
import { dying, quietly } from './saga-kit.ts';

const OLD = '11111111-1111-4111-8111-111111111111';
const NEW = '22222222-2222-4222-8222-222222222222';
const ID = 'saga-1';
const config = (name: string, uuid: string): VserverConfig => ({
  version: 1,
  uuid,
  name,
  network: 'blue',
  address: '10.60.10.6',
  prefix: 24,
  mac: '02:00:00:00:00:01',
  enabled: false,
  limits: {},
  idmap: 100_000,
  source: '',
  created: 1,
});
const web1: Tree = { uuid: OLD, name: 'web1', data: 'web1' };
const clone = { of: 'web1', host: 'host1', address: '10.0.0.1', bytes: 1e6, channel: 'tls' as const };
const copyPlan = (host: string, way: 'fork' | 'btrfs-send' | 'rsync', snapshot: boolean): CreatePlan => ({
  name: 'web2',
  host,
  hostAddress: '10.0.0.2',
  source: 'clone:web1',
  config: config('web2', NEW),
  start: true,
  clone: { ...clone, snapshot, way },
});
const runs = { trees: { 'host1/web1': web1 }, running: ['host1/web1'], owners: { 'host1/web1': 3 }, keep: 1 };
const stopped = { trees: { 'host1/web1': web1 }, owners: { 'host1/web1': 3 }, keep: 1 };
const empty = { trees: {}, staged: {}, trash: {}, running: [], locks: [], snapshots: [], owners: {} };
const state: VserverState = {
  host: 'host1',
  name: 'web1',
  state: 'stopped',
  enabled: false,
  address: '10.60.10.5',
  mac: '02:00:00:00:00:01',
  network: 'blue',
  epoch: 3,
  uuid: OLD,
  limits: {},
  ts: 1,
};
const inTrash = { trash: { 'host1/web1/remove-1': web1 }, keep: 1 };
const restorePlan = (name: string, uuid: string, epoch: number) => ({
  name,
  host: 'host1',
  of: 'web1',
  entry: 'remove-1',
  epoch,
  config: config(name, uuid),
  was: config('web1', OLD),
  fresh: uuid !== OLD,
  start: true,
});

/** A plan, the world before and after it, and the call from which on it can only go forward. */
const cases: {
  title: string;
  plan: Plan;
  start: Parameters<typeof world>[0];
  after: object;
  pnr?: string;
}[] = [
  ...(
    [
      ['a copy by a snapshot on the same host', 'host1', 'fork', true],
      ['a copy by btrfs-send', 'host2', 'btrfs-send', true],
      ['a copy by rsync from a snapshot', 'host2', 'rsync', true],
      ['a copy by rsync of a live tree', 'host2', 'rsync', false],
    ] as const
  ).map(([title, host, way, snapshot]) => ({
    title,
    plan: { kind: 'copy' as const, plan: copyPlan(host, way, snapshot) },
    start: runs,
    after: {
      ...empty,
      trees: { 'host1/web1': web1, [`${host}/web2`]: { uuid: NEW, name: 'web2', data: 'web1', fresh: true } },
      running: ['host1/web1', `${host}/web2`],
      owners: { 'host1/web1': 3, [`${host}/web2`]: 1 },
    },
    pnr: 'snapshot.remove@host1', // from its last step on it is not held any more
  })),
  ...[true, false].map((running) => ({
    title: `a rename of a vserver that ${running ? 'runs' : 'is stopped'}`,
    plan: {
      kind: 'rename' as const,
      plan: { name: 'web1', to: 'web3', host: 'host1', epoch: 3, network: 'blue', running },
    },
    start: running ? runs : stopped,
    after: {
      ...empty,
      trees: { 'host1/web3': { ...web1, name: 'web3' } },
      running: running ? ['host1/web3'] : [],
      owners: { 'host1/web3': 4 },
    },
    pnr: 'host-agent.release@host1',
  })),
  {
    title: 'a restore of what was removed',
    pnr: 'snapshot.discard@host1',
    plan: { kind: 'restore', plan: restorePlan('web1', OLD, 4) },
    start: inTrash,
    after: {
      ...empty,
      trees: { 'host1/web1': web1 },
      running: ['host1/web1'],
      owners: { 'host1/web1': 4 },
    },
  },
  {
    title: 'a restore of an old copy as another vserver',
    pnr: 'snapshot.discard@host1',
    plan: { kind: 'restore', plan: restorePlan('web9', NEW, 1) },
    start: {
      ...inTrash,
      trees: { 'host2/web1': web1 },
      running: ['host2/web1'],
      owners: { 'host2/web1': 5 },
      keep: 2,
    },
    after: {
      ...empty,
      trees: {
        'host1/web9': { uuid: NEW, name: 'web9', data: 'web1', fresh: true },
        'host2/web1': web1,
      },
      running: ['host1/web9', 'host2/web1'],
      owners: { 'host2/web1': 5, 'host1/web9': 1 },
    },
  },
  ...[true, false].map((isRunning) => ({
    title: `a rollback of a vserver that ${isRunning ? 'runs' : 'is stopped'}`,
    plan: {
      kind: 'rollback' as const,
      plan: { name: 'web1', host: 'host1', epoch: 3, running: isRunning, snapshot: 'old', safety: 'safe' },
    },
    start: {
      ...(isRunning ? runs : stopped),
      keep: 1, // at every instant: its tree, its snapshot or what waits aside
      kept: { [`host1/${OLD}/old`]: { ...web1, data: 'then' } },
    },
    after: {
      ...empty,
      trees: { 'host1/web1': { ...web1, data: 'then' } },
      kept: { [`host1/${OLD}/old`]: { ...web1, data: 'then' }, [`host1/${OLD}/safe`]: web1 },
      aside: {},
      running: isRunning ? ['host1/web1'] : [],
      owners: { 'host1/web1': 3 },
    },
    pnr: 'snapshot.discard@host1', // what was aside is gone
  })),
  {
    title: 'a remove',
    plan: { kind: 'remove', plan: state },
    start: stopped,
    after: { ...empty, trash: { [`host1/web1/${ID}`]: web1 } },
    pnr: 'host-agent.release@host1',
  },
  {
    title: 'a remove without the trash',
    plan: { kind: 'remove', plan: { ...state, purge: true } },
    start: { ...stopped, keep: 0 },
    after: empty,
    pnr: 'host-agent.release@host1',
  },
];

/** In memory where there is such a place: hundreds of journals are written, each line with an fsync. */
const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vs-saga-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const fresh = (): Journals => {
  const journals = openJournals(mkdtempSync(join(work, 'j-')));
  journals.append(ID, { kind: 'begin' });
  return journals;
};
function life(plan: Plan, journals: Journals, agents: Agents): Promise<SagaState> {
  const now: SagaState = {
    id: ID,
    kind: plan.kind,
    vserver: 'web1',
    args: {},
    result: 'running',
    title: '',
    steps: [],
    started: Date.now(),
  };
  return execute(buildSaga(structuredClone(plan), now, agents), quietly(journals));
}
/** What a restore as another vserver made of the files does not come back: its marks of a copy stay. */
const withoutMarks = (view: object): unknown =>
  JSON.parse(JSON.stringify(view, (key, value: unknown) => (key === 'fresh' ? undefined : value)));

describe.each(cases)('$title', ({ plan, start, after, pnr }) => {
  const before = world(start).view();

  test('ends done, without a secret in its journal', async () => {
    const one = world(start);
    const journals = fresh();
    const { result, error } = await life(plan, journals, one.agents);
    expect([result, error]).toEqual(['done', undefined]);
    expect(one.view()).toEqual(after);
    expect(one.violations).toEqual([]);
    expect(JSON.stringify(journals.read(ID))).not.toContain('SECRET');
  });

  test('each call failing once: done or undone, and the world agrees', { timeout: 60_000 }, async () => {
    const dry = world(start);
    await life(plan, fresh(), dry.agents);
    const turn = pnr === undefined ? Infinity : dry.calls.indexOf(pnr);
    expect(turn).toBeGreaterThan(-1);
    for (let at = 1; at <= dry.calls.length; at++) {
      const one = world(start);
      one.fault.at = at;
      const { result } = await life(plan, fresh(), one.agents);
      const past = at > turn;
      const where = `call ${at}: ${dry.calls[at - 1]}`;
      expect([where, result]).toEqual([where, past ? 'done' : 'undone']);
      expect(withoutMarks(one.view()), where).toEqual(withoutMarks(past ? after : before));
      expect(one.violations, where).toEqual([]);
    }
  });

  test('a crash at each journal line, then a resume: done', { timeout: 60_000 }, async () => {
    let crashes = 0;
    for (const written of [true, false]) {
      for (let last = 1; ; last++) {
        const one = world(start);
        const journals = fresh();
        const crashed = await life(plan, dying(journals, last, written), one.agents).then(
          () => false,
          () => true,
        );
        if (!crashed) break;
        if (journals.read(ID).some((line) => line.kind === 'end')) continue;
        crashes++;
        const { result } = await life(plan, journals, one.agents);
        expect([last, result]).toEqual([last, 'done']);
        expect(one.view(), `line ${last}`).toEqual(after);
        expect(one.violations, `line ${last}`).toEqual([]);
      }
    }
    expect(crashes).toBeGreaterThan(5);
  });
});

test('past its point of no return a rename that cannot go on is stuck, and nothing of it can start', async () => {
  const rename = cases.find((one) => one.plan.kind === 'rename');
  const one = world(runs);
  one.fault.forever = 'snapshot.adopt@host1';
  const journals = fresh();
  const { result } = await life(rename?.plan as Plan, journals, one.agents);
  expect(result).toBe('stuck');
  expect(one.view().owners).toEqual({});
  expect(one.calls).not.toContain('host-agent.start@host1');
  delete one.fault.forever;
  expect((await life(rename?.plan as Plan, journals, one.agents)).result).toBe('done');
  expect(one.view()).toEqual(rename?.after);
});
