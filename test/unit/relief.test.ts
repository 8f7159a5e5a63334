import { describe, expect, test } from 'vitest';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Room } from '../../services/orchestrator/placement.ts';
import {
  type Ask,
  type Asked,
  PER_HOUR,
  REST_MS,
  RETRY_MS,
  type Relief,
  SPARE,
  STAYS_MS,
  nextRelief,
} from '../../services/orchestrator/relief-decide.ts';
import { reliefOf } from '../../services/orchestrator/relief.ts';

const GB = 1024 ** 3;
const NOW = 1_800_000_000_000;
const room = (host: string, free: number, more: Partial<Room> = {}): Room => ({
  host,
  memory: { free: free * GB, total: 10 * GB },
  disk: { free: 100 * GB, total: 200 * GB },
  networks: ['blue'],
  vservers: [],
  ...more,
});
const asked = (name: string, host: string, more: Partial<Asked> = {}): [string, Asked] => [
  name,
  { name, host, network: 'blue', also: [], memory: 0, isFree: true, ...more },
];
const ask = (host: string, ...names: string[]): Ask => ({
  host,
  wishes: names.map((name) => ({ name, memory: GB })),
});
const moved = (name: string, from: string, to: string, agoMs: number, isDone = true): Relief => ({
  name,
  from,
  to,
  isDone,
  ended: NOW - agoMs,
});

describe('a host whose memory is short asks for relief', () => {
  const both = new Map([asked('web1', 'host1'), asked('web2', 'host1')]);
  const next = (
    past: Relief[],
    rooms = [room('host1', 0.2), room('host2', 8)],
    all = [ask('host1', 'web2', 'web1')],
  ) => nextRelief(all, both, rooms, past, NOW);

  test('the first that it names goes to the host with most room', () => {
    expect(next([], [room('host1', 0), room('host2', 5), room('host3', 9)])).toEqual({
      name: 'web2',
      from: 'host1',
      to: 'host3',
    });
    expect(nextRelief([], both, [room('host2', 9)], [], NOW)).toBeUndefined();
  });
  test('one at a time in the pool, then a rest', () => {
    expect(next([{ ...moved('x', 'host8', 'host9', 0), ended: undefined }])).toBeUndefined();
    expect(next([moved('x', 'host1', 'host9', REST_MS - 1)])).toBeUndefined();
    expect(next([moved('x', 'host9', 'host2', REST_MS - 1)])).toBeUndefined();
    expect(next([moved('x', 'host1', 'host9', REST_MS)])?.name).toBe('web2');
  });
  test('so many within an hour at most, failed ones counted', () => {
    const past = Array.from({ length: PER_HOUR }, (_, at) =>
      moved(`x${at}`, 'host1', 'host9', REST_MS + at, at > 1),
    );
    expect(next(past.slice(1))?.name).toBe('web2');
    expect(next(past)).toBeUndefined();
  });
  test('never back and forth: who moved stays, who gave gets nothing, who asks gets nothing', () => {
    expect(next([moved('web2', 'host3', 'host1', STAYS_MS - 1)])?.name).toBe('web1');
    expect(next([moved('web2', 'host3', 'host1', STAYS_MS)])?.name).toBe('web2');
    expect(next([moved('x', 'host2', 'host3', STAYS_MS - 1)])).toBeUndefined();
    expect(next([], undefined, [ask('host1', 'web1'), ask('host2', 'db')])).toBeUndefined();
  });
  test('a target keeps a fifth of its memory free; a limit counts in full', () => {
    const need = 1 + SPARE * 10;
    expect(next([], [room('host2', need - 0.01)])).toBeUndefined();
    expect(next([], [room('host2', need)])?.to).toBe('host2');
    const limited = new Map([asked('web1', 'host1', { memory: 7 * GB })]);
    expect(nextRelief([ask('host1', 'web1')], limited, [room('host2', 8)], [], NOW)).toBeUndefined();
  });
  test('what failed there is not tried there again for an hour, but elsewhere, or another is', () => {
    const failed = moved('web2', 'host1', 'host2', RETRY_MS - 1, false);
    expect(next([failed])).toEqual({ name: 'web1', from: 'host1', to: 'host2' });
    expect(next([failed], [room('host2', 9), room('host3', 8)])).toMatchObject({ name: 'web2', to: 'host3' });
    expect(next([{ ...failed, ended: NOW - RETRY_MS }])?.name).toBe('web2');
  });
  test('one that is not there, not free, or has no network elsewhere is passed over', () => {
    const some = (one: [string, Asked]) =>
      nextRelief([ask('host1', 'web1')], new Map([one]), [room('host2', 9)], [], NOW);
    expect(some(asked('web1', 'host1'))?.to).toBe('host2');
    expect(some(asked('web1', 'host3'))).toBeUndefined();
    expect(some(asked('web1', 'host1', { isFree: false }))).toBeUndefined();
    expect(some(asked('web1', 'host1', { network: 'green' }))).toBeUndefined();
    expect(some(asked('web1', 'host1', { also: ['green'] }))).toBeUndefined();
  });

  test('played for a day in pools that are too full: no vserver moves twice within its stay, none comes back, and no host gets more than it can bear', () => {
    let seed = 7;
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
    for (let pool = 0; pool < 10; pool++) {
      const hosts = ['host1', 'host2', 'host3'];
      const at = new Map(
        Array.from({ length: 12 }, (_, index) => [`web${index}`, hosts[Math.floor(random() * 3)] ?? '']),
      );
      const size = new Map([...at.keys()].map((name) => [name, random() * 3.5 * GB]));
      const used = (host: string) =>
        [...at].reduce((sum, [name, where]) => sum + (where === host ? (size.get(name) ?? 0) : 0), 0);
      const past: Relief[] = [];
      for (let now = NOW; now < NOW + 86_400_000; now += 60_000) {
        const asks = hosts
          .filter((host) => used(host) > 9 * GB)
          .map((host) => ({
            host,
            wishes: [...at]
              .filter(([, where]) => where === host)
              .map(([name]) => ({ name, memory: size.get(name) ?? 0 })),
          }));
        const known = new Map([...at].map(([name, host]) => asked(name, host)));
        const rooms = hosts.map((host) =>
          room(host, 0, { memory: { free: 10 * GB - used(host), total: 10 * GB } }),
        );
        const one = nextRelief(asks, known, rooms, past, now);
        if (!one) continue;
        const before = past.filter(({ ended = 0 }) => now - ended < STAYS_MS);
        expect(before.map(({ name }) => name)).not.toContain(one.name);
        expect(before.map(({ from }) => from)).not.toContain(one.to);
        at.set(one.name, one.to);
        expect(used(one.to)).toBeLessThanOrEqual(8 * GB);
        past.push({ ...one, isDone: true, ended: now });
      }
      expect(past.length).toBeLessThan(40);
    }
  });

  test('what was done is known from the sagas: those that a host asked for, not those of people', () => {
    const saga = (args: object, result: SagaState['result']) =>
      ({ kind: 'move', vserver: 'web1', args, result, ended: NOW }) as unknown as SagaState;
    const own = { name: 'web1', host: 'host2', pressure: 'host1' };
    expect(reliefOf(saga(own, 'done'))).toEqual(moved('web1', 'host1', 'host2', 0));
    expect(reliefOf(saga(own, 'undone'))).toMatchObject({ isDone: false, ended: NOW });
    expect(reliefOf(saga(own, 'stuck'))).toMatchObject({ ended: undefined });
    expect(reliefOf(saga({ name: 'web1', host: 'host2' }, 'done'))).toBeUndefined();
  });
});
