import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { agentsOf } from '../../services/orchestrator/agent.ts';
import { nextEpoch, openEpochs } from '../../services/orchestrator/epochs.ts';
import type { StepContext } from '../../services/orchestrator/executor.ts';
import { openOwed } from '../../services/orchestrator/owed.ts';
import type { Deciding } from '../../services/orchestrator/plans/planned.ts';
import type { Pool } from '../../services/orchestrator/pool.ts';
import type { Bus } from '../../shared/bus.ts';
import { topicsFor } from '../../shared/contract/topics.ts';
import { temporary } from './temporary.ts';

const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
const state = (epoch: number) => ({
  host: 'host1',
  name: 'web1',
  state: 'stopped',
  enabled: false,
  address: '10.60.10.5',
  mac: '02:1a:2b:3c:4d:5e',
  network: 'blue',
  epoch,
  uuid,
  limits: {},
  ts: 1,
});

/** A master whose bus says what the test lets it say. */
function master(stateDir = temporary('epochs')) {
  let say: (payload: unknown) => void = () => undefined;
  const records: Record<string, { epoch: number }[] | undefined> = {};
  const bus = {
    topics: topicsFor('vs/1'),
    subscribe: (_filter: string, listener: (topic: string, payload: unknown) => void) => {
      say = (payload) => listener('', payload);
      return Promise.resolve(() => Promise.resolve());
    },
    request: (host: string) =>
      records[host] ? Promise.resolve({ records: records[host] }) : Promise.reject(new Error('no answer')),
  };
  const context = { bus, settings: { STATE_DIR: stateDir }, log: { warn: () => undefined } };
  const epochs = openEpochs(context as never);
  const pool = {
    hosts: () => ['host1', 'host2', 'host3'],
    isOnline: (host: string) => host !== 'host1',
    all: () => [] as unknown[],
  };
  const deciding = { context, pool, epochs } as unknown as Deciding;
  return { stateDir, epochs, records, pool, deciding, say: (payload: unknown) => say(payload) };
}

test('the highest epoch that was ever shown is remembered, also of what is gone, and over a restart', async () => {
  const one = master();
  await one.epochs.start();
  one.say(state(3));
  one.say(state(2));
  one.say(null);
  one.say({ host: 'host1' });
  await vi.waitFor(
    () => expect(readFileSync(`${one.stateDir}/epochs.json`, 'utf8')).toContain(`"${uuid}": 3`),
    { timeout: 10_000 },
  );
  const next = master(one.stateDir);
  await next.epochs.start();
  expect(next.epochs.of(uuid)).toBe(3);
  next.say(state(5));
  await next.epochs.stop(); // at once, not only after a time
  expect(readFileSync(`${one.stateDir}/epochs.json`, 'utf8')).toContain(`"${uuid}": 5`);
});

test.each<[string, (one: ReturnType<typeof master>) => void, number[], number]>([
  ['nothing is known', () => undefined, [], 1],
  ['a copy knows', () => undefined, [4], 5],
  ['the pool showed it once', (one) => one.epochs.see(uuid, 6), [4], 7],
  ['the pool shows it', (one) => (one.pool.all = () => [state(7)]), [4], 8],
  ['another vserver has a higher one', (one) => (one.pool.all = () => [{ ...state(7), uuid: 'x' }]), [4], 5],
  ['a host gave it up', (one) => (one.records['host2'] = [{ epoch: 2 }, { epoch: 8 }]), [4], 9],
  ['a host does not answer, another does', (one) => (one.records['host3'] = [{ epoch: 5 }]), [4], 6],
])('the next epoch when %s', async (_, prepare, known, expected) => {
  const one = master();
  prepare(one);
  expect(await nextEpoch(one.deciding, { uuid }, ...known)).toBe(expected);
});

test('of a host that is said to be dead nothing is asked any more, by the undo of that saga', async () => {
  const asked: string[] = [];
  let now = 0;
  const bus = { target: 'master', request: (host: string) => (asked.push(host), Promise.resolve({})) };
  const pool = { isOnline: (host: string) => host === 'host2' } as unknown as Pool;
  const sleeps = {
    now: () => now,
    elapsed: () => now,
    sleep: (ms: number) => Promise.resolve(void (now += ms)),
  };
  const agents = agentsOf(bus as unknown as Bus, pool, sleeps, () => '');
  const context = (id: string, abort = new AbortController()): StepContext => ({
    id,
    outputs: {},
    signal: abort.signal,
    command: (what) => what,
    progress: () => undefined,
    say: () => undefined,
    next: () => undefined,
    part: () => undefined,
  });
  const unlock = (id: string, host: string, abort?: AbortController) =>
    agents.ask(host, 'host-agent.unlock', { name: 'web1', saga: id }, context(id, abort));
  await expect(unlock('s1', 'host1')).rejects.toThrow('host1 is offline');
  agents.giveUp('s1', 'host1');
  now = 0;
  expect(await unlock('s1', 'host1')).toEqual({});
  expect(now).toBe(0); // it does not wait for it
  await expect(unlock('s2', 'host1')).rejects.toThrow('host1 is offline'); // another saga does
  expect(await unlock('s1', 'host2')).toEqual({});
  expect(asked).toEqual(['host2']);
  const aborted = new AbortController();
  aborted.abort();
  await expect(unlock('s1', 'host1', aborted)).rejects.toThrow('aborted'); // it does not go on as if it had done it
});

test('what could not be undone on a dead host is made up for when it is back, once, also after a restart', async () => {
  const stateDir = temporary('owed');
  const asked: string[] = [];
  const online = new Set<string>();
  let broken = true;
  let records: object[] = [];
  const context = {
    settings: { STATE_DIR: stateDir },
    log: { warn: () => undefined, info: () => undefined },
    bus: {
      request: (host: string, command: string) => {
        asked.push(`${command}@${host}`);
        return broken ? Promise.reject(new Error('lost again')) : Promise.resolve({ records });
      },
    },
  };
  let isOver = false;
  const open = () =>
    openOwed(
      context as never,
      { isOnline: (host) => online.has(host) },
      (saga) => isOver && saga === 'get-1',
    );
  await open().add({ host: 'host1', name: 'web1', saga: 'get-1' });
  const next = open();
  await next.start();
  next.stop();
  await next.look();
  expect(asked).toEqual([]);
  online.add('host1');
  await next.look();
  expect(asked).toEqual([]); // the saga is at work, and all of that may be its own
  isOver = true;
  await next.look();
  expect(next.all()).toHaveLength(1);
  broken = false;
  asked.length = 0;
  await next.look();
  await next.look();
  expect(asked).toEqual([
    'transfer.close@host1',
    'snapshot.remove@host1',
    'host-agent.ownership@host1',
    'host-agent.detach@host1',
    'snapshot.evict@host1',
    'snapshot.discard@host1',
    'host-agent.unlock@host1',
  ]);
  const last = open();
  await last.start();
  last.stop();
  expect(last.all()).toEqual([]);
  // what it owned by that saga may have run there: a person looks at it
  asked.length = 0;
  records = [{ owner: false, saga: 'get-1' }];
  await last.add({ host: 'host1', name: 'web1', saga: 'get-1' });
  await last.look();
  expect(asked).not.toContain('snapshot.evict@host1');
  expect(asked).toContain('host-agent.unlock@host1');
});
