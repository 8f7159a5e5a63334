import { describe, expect, test } from 'vitest';
import type { Plan } from '../../services/orchestrator/build.ts';
import type { GetPlan } from '../../services/orchestrator/sagas/get.ts';
import type { PutPlan } from '../../services/orchestrator/sagas/put.ts';
import type { RecoverPlan } from '../../services/orchestrator/sagas/recover.ts';
import { crashEach, failEach, pool, run } from './copies-kit.ts';

const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
const nothingLeft = { staging: {}, snapshots: [], locks: [] };
const TIME = { timeout: 60_000 };

const get = (more: Partial<GetPlan> = {}): Plan => ({
  kind: 'get',
  plan: {
    name: 'web1',
    source: 'host1',
    target: 'master',
    sourceAddress: '10.0.0.1',
    copy: 'rsync',
    channel: 'tls',
    bytes: 1e6,
    files: 10,
    kind: 'snapshot',
    former: true,
    uuid,
    epoch: 1,
    running: true,
    enabled: true,
    ...more,
  },
});

describe('get', () => {
  const start = { trees: { host1: 'now', master: 'before' }, owner: { host1: 1 }, running: ['host1'] };
  const after = {
    ...nothingLeft,
    trees: { host1: 'now', master: 'now disabled' },
    trash: { master: 'before' },
    owner: { host1: 1 },
    running: ['host1'],
  };

  test.each(['snapshot', 'live', 'stopped'] as const)('%s: each call failing once', TIME, async (kind) => {
    const calls = await failEach(get({ kind }), start, { after, pnr: 'snapshot.trash@master' });
    expect(calls).toBeGreaterThan(8);
  });
  test('a crash at each journal line: the new copy is there, the one before in the trash', TIME, async () => {
    expect(await crashEach(get(), start, after)).toBeGreaterThan(20);
  });
  test('the first copy of a vserver is undone without a trace', TIME, async () => {
    const first = { ...start, trees: { host1: 'now' } };
    const calls = await failEach(get({ former: false }), first, {
      after: { ...after, trash: {} },
      pnr: 'snapshot.adopt@master',
    });
    expect(calls).toBeGreaterThan(8);
  });
  test('only what rsync copies from a host that can make them is a snapshot, and a live tree is not counted', async () => {
    const calls = async (more: Partial<GetPlan>) => {
      const one = pool(start);
      await run(get(more), one);
      return one.calls;
    };
    expect(await calls({ kind: 'snapshot' })).toContain('snapshot.renew@host1');
    const live = await calls({ kind: 'live' });
    expect(live).not.toContain('snapshot.renew@host1');
    expect(live).not.toContain('transfer.verify@master');
    expect(live.filter((one) => one === 'transfer.send@host1').length).toBeGreaterThan(1);
    expect(await calls({ kind: 'stopped' })).toContain('transfer.verify@master');
  });
});

const putPlan: PutPlan = {
  name: 'web1',
  source: 'master',
  target: 'host2',
  sourceAddress: '10.0.0.3',
  copy: 'rsync',
  channel: 'tls',
  bytes: 1e6,
  files: 10,
  uuid,
  epoch: 4,
  network: 'blue',
  address: '10.60.10.5',
  taken: 1,
};

describe('put', () => {
  const put: Plan = { kind: 'put', plan: putPlan };
  const start = { trees: { master: 'kept' } };
  const after = {
    ...nothingLeft,
    trees: { master: 'kept', host2: 'kept' },
    owner: { host2: 4 },
    running: [],
    enabled: [],
  };
  test('each call failing once: nothing is left on the host, the copy stays', TIME, async () => {
    expect(await failEach(put, start, { after, pnr: 'snapshot.discard@host2' })).toBeGreaterThan(12);
  });
  test('a crash at each journal line', TIME, async () => {
    expect(await crashEach(put, start, after)).toBeGreaterThan(20);
  });
  test('an address that answers is refused before anything is copied', async () => {
    const one = pool({ ...start, answers: '02:00:00:00:00:01' });
    const state = await run(put, one);
    expect(state.result).toBe('undone');
    expect(state.message).toContain('10.60.10.5 of web1 is in use: 02:00:00:00:00:01 answers there');
    expect(one.calls).not.toContain('transfer.open@host2');
    expect(one.view()).toMatchObject({ ...nothingLeft, trees: { master: 'kept' }, owner: {} });
  });
});

const recoverPlan = (more: Partial<RecoverPlan> = {}): RecoverPlan => ({
  ...putPlan,
  mac: '02:1a:2b:3c:4d:5e',
  dead: 'host1',
  start: true,
  enabled: true,
  what: 'the copy on the master',
  ...more,
});

describe('recover', () => {
  const recover = (more: Partial<RecoverPlan> = {}): Plan => ({ kind: 'recover', plan: recoverPlan(more) });
  const dead = {
    trees: { host1: 'lost' },
    owner: { host1: 3 },
    running: ['host1'],
    online: ['master', 'host2'],
  };
  const start = { ...dead, trees: { ...dead.trees, master: 'kept' } };
  const runs = {
    ...nothingLeft,
    owner: { host1: 3, host2: 4 },
    running: ['host1', 'host2'],
    enabled: ['host2'],
  };
  const after = { ...runs, trees: { host1: 'lost', master: 'kept', host2: 'kept' } };

  test('from the master: each call failing once', TIME, async () => {
    expect(await failEach(recover(), start, { after, pnr: 'host-agent.claim@host2' })).toBeGreaterThan(15);
  });
  test('from the master: a crash at each journal line', TIME, async () => {
    expect(await crashEach(recover(), start, after)).toBeGreaterThan(20);
  });
  test(
    'from the trash of the host itself: nothing is copied, and a failure brings it back into the trash',
    TIME,
    async () => {
      const plan = recover({ source: 'host2', recall: 'move-1' });
      const inTrash = { ...dead, trash: { host2: 'old' } };
      const there = { ...runs, trees: { host1: 'lost', host2: 'old' }, trash: {} };
      await failEach(plan, inTrash, { after: there, pnr: 'host-agent.claim@host2' });
      await crashEach(plan, inTrash, there);
      const one = pool(inTrash);
      await run(plan, one);
      expect(one.calls.filter((call) => call.startsWith('transfer.send'))).toEqual([]);
    },
  );
  test('from the trash of another host: that stays', TIME, async () => {
    const other = { ...dead, online: ['master', 'host2', 'host3'], trash: { host3: 'old' } };
    const calls = await failEach(recover({ source: 'host3', trash: 'move-1' }), other, {
      after: { ...runs, trees: { host1: 'lost', host2: 'old' }, trash: { host3: 'old' } },
      pnr: 'host-agent.claim@host2',
    });
    expect(calls).toBeGreaterThan(15);
  });
  test('a host that is only cut off still answers: refused, and nothing is changed', async () => {
    const one = pool({ ...start, answers: '02:1a:2b:3c:4d:5e' });
    const before = one.view();
    const state = await run(recover(), one);
    expect(state.message).toContain('host1 is not dead, only cut off from the master');
    expect([state.result, one.view()]).toEqual(['undone', before]);
  });
  test('a host that comes back while the copy travels: undone, it is not owned twice', async () => {
    const one = pool(start);
    const { ask } = one.agents;
    one.agents.ask = async (host, command, ...rest) => {
      if (command === 'snapshot.adopt') one.world.online.push('host1');
      return ask(host, command, ...rest);
    };
    const state = await run(recover(), one);
    expect(state.message).toContain('host1 is online again');
    expect(state.result).toBe('undone');
    expect(one.view()).toMatchObject({ owner: { host1: 3 }, running: ['host1'], locks: [], staging: {} });
  });
  test('a host that comes back after it was taken over: nothing starts until it has given way', async () => {
    const one = pool(start);
    const { ask } = one.agents;
    let waited = 0;
    one.agents.ask = async (host, command, ...rest) => {
      if (command === 'host-agent.enable') one.world.online.push('host1');
      if (command === 'orchestrator.scan' && waited++ === 1) {
        one.world.running = [];
        delete one.world.owner['host1'];
      }
      return ask(host, command, ...rest);
    };
    expect((await run(recover(), one)).result).toBe('done');
    expect(waited).toBe(2);
    expect(one.world.running).toEqual(['host2']);
  });
  test('a host that comes back and is about to start it: nothing starts until it owns it no more', async () => {
    const one = pool({ ...start, running: [] });
    const { ask } = one.agents;
    let scans = 0;
    const owners: string[] = [];
    one.agents.ask = async (host, command, ...rest) => {
      if (command === 'host-agent.enable') one.world.online.push('host1');
      if (command === 'orchestrator.scan' && scans++ === 1) delete one.world.owner['host1'];
      if (command === 'host-agent.start') owners.push(Object.keys(one.world.owner).join());
      return ask(host, command, ...rest);
    };
    expect((await run(recover(), one)).result).toBe('done');
    expect(owners).toEqual(['host2', 'host2']); // start, and the look at it
  });
  test('one that answers before it is started waits, also while the pool knows nothing of its host', async () => {
    const one = pool(start);
    const { ask } = one.agents;
    let answered = 0;
    one.agents.ask = async (host, command, ...rest) => {
      if (command === 'host-agent.enable') one.world.answers = '02:1a:2b:3c:4d:5e';
      if (command === 'network.check' && one.world.answers && ++answered === 2) one.world.answers = null;
      expect(command === 'host-agent.start' && one.world.answers).toBeFalsy();
      return ask(host, command, ...rest);
    };
    expect((await run(recover(), one)).result).toBe('done');
    expect(answered).toBe(2);
  });
});

test('forget: the copy goes to the trash, again after a crash', TIME, async () => {
  const plan: Plan = { kind: 'forget', plan: { name: 'web1' } };
  const after = { ...nothingLeft, trees: {}, trash: { master: 'kept' } };
  await failEach(plan, { trees: { master: 'kept' } }, { after, pnr: 'snapshot.trash@master' });
  expect(await crashEach(plan, { trees: { master: 'kept' } }, after)).toBeGreaterThan(3);
});
