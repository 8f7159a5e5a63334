import { describe, expect, test } from 'vitest';
import { parseAge } from '../../cli/verbs/trash.ts';
import { estimate, rateOf } from '../../services/orchestrator/estimate.ts';
import { shouldRun } from '../../services/orchestrator/plans/recover.ts';
import { choose } from '../../services/orchestrator/plans/restore.ts';
import type { SagaState } from '../../shared/contract/saga.ts';

function past(rate: number, more: Partial<SagaState> & { from?: string; to?: string } = {}): SagaState {
  const { from = 'host1', to = 'host2', ...rest } = more;
  const row = (step: string, host: string, ms: number) => ({ step, host, ms, state: 'done' as const });
  return {
    id: 'move-1',
    kind: 'move',
    vserver: 'web1',
    args: {},
    result: 'done',
    title: '',
    way: 'rsyncd over TLS',
    started: 1,
    bytes: rate * 2,
    steps: [row('stage', to, 10), row('seed', from, 1500), row('delta 1', from, 500), row('start', to, 9000)],
    ...rest,
  };
}
const work = { bytes: 1e9, files: 10_000, way: 'rsyncd over TLS', source: 'host1', target: 'host2' };
/** Without what is always around (ms). */
const around = 1500;

describe('how long a copy should take', () => {
  test('the rate is that of the copying steps alone', () => {
    expect(rateOf(past(100e6))).toBe(100e6);
    expect(rateOf(past(100e6, { result: 'undone' }))).toBeUndefined();
    expect(rateOf(past(100))).toBeUndefined(); // too little to tell
  });
  test('the same hosts and the same way count, by the median of the newest', () => {
    const some = [
      past(100e6),
      past(50e6),
      past(200e6),
      past(10e6, { to: 'host3' }),
      past(1e9, { way: 'btrfs-send over TLS' }),
    ];
    expect(estimate(work, some)).toBe(10_000 + around);
  });
  test('else the same way between any hosts, else a careful default', () => {
    expect(estimate(work, [past(50e6, { from: 'host7' })])).toBe(20_000 + around);
    expect(estimate(work, [])).toBe(25_000 + 1500 + around);
  });
  test('never faster than slaves.conf allows', () => {
    expect(estimate({ ...work, bwlimit: 1e6 }, [past(100e6)])).toBe(1_000_000 + around);
  });
});

describe('which entry of the trash is meant', () => {
  const entry = (more: object) => ({
    name: 'web1',
    entry: 'remove-1',
    uuid: 'a',
    ts: 1,
    until: 2,
    why: 'removed',
    only: true,
    host: 'host1',
    ...more,
  });
  const some = [
    entry({ entry: 'move-1', epoch: 1, ts: 9 }),
    entry({ entry: 'remove-2', epoch: 2, ts: 5, host: 'host2' }),
  ];
  test('the newest copy: that of the highest epoch', () => {
    expect(choose(some, { name: 'web1' }).entry).toBe('remove-2');
  });
  test('the one that was named, by host or by entry', () => {
    expect(choose(some, { name: 'web1', host: 'host1' }).entry).toBe('move-1');
    expect(choose(some, { name: 'web1', entry: 'move-1' }).entry).toBe('move-1');
  });
  test('two vservers of one name are told apart by a person', () => {
    expect(() => choose([...some, entry({ uuid: 'b', entry: 'remove-3' })], { name: 'web1' })).toThrow(
      /more than one vserver .*--entry move-1.*--entry remove-3/,
    );
  });
  test('none is a sentence', () => {
    expect(() => choose(some, { name: 'web2' })).toThrow(
      'the trash of the pool has no web2; see: vs trash list',
    );
  });
});

test.each([
  ['30m', 1_800_000],
  ['12h', 43_200_000],
  ['3d', 259_200_000],
  ['2w', 1_209_600_000],
])('an age of %s', (text, ms) => {
  expect(parseAge(text)).toBe(ms);
});
test.each(['', '3', 'd', '-1d', '3 d', '3days', '999999d'])('no age: "%s"', (text) => {
  expect(() => parseAge(text)).toThrow(/is no age/);
});

describe('a recovered vserver starts when it ran', () => {
  const move = (step: string, state: string) =>
    [{ id: 'move-1', steps: [{ step: 'lock', state: 'done' }, ...(step ? [{ step, state }] : [])] }] as never;
  test.each([
    ['running', undefined, move('', ''), true],
    ['starting', undefined, move('', ''), true],
    ['stopped', undefined, move('stop', 'done'), false],
    ['stopped', 'move-2', move('stop', 'done'), false],
    ['stopped', 'move-1', move('', ''), false],
    ['stopped', 'move-1', move('stop', 'waiting'), false],
    ['stopped', 'move-1', move('stop', 'done'), true],
    ['stopping', 'move-1', move('stop', 'running'), true],
    ['stopped', 'move-1', move('stop', 'undoing'), true],
    ['frozen', 'move-1', move('freeze', 'done'), true],
    ['stopping', undefined, move('stop', 'running'), false],
  ] as const)('%s, held by %s: %#', (state, saga, sagas, expected) => {
    expect(shouldRun({ state, saga }, sagas)).toBe(expected);
  });
});
