import { expect, test } from 'vitest';
import { questionOf } from '../../cli/verbs/move.ts';
import { along, behind, namesBehind, ofAll } from '../../services/orchestrator/snapshots.ts';
import type { KeptInfo } from '../../shared/contract/kept.ts';
import type { Bus } from '../../shared/bus.ts';

const kept = (snapshot: string, taken: number, more: Partial<KeptInfo> = {}): KeptInfo => ({
  snapshot,
  vserver: 'web1',
  uuid: '11111111-1111-4111-a111-000000000001',
  taken,
  by: 'anna',
  kind: 'manual',
  protected: false,
  ...more,
});
const all = [kept('old', 1, { protected: true }), kept('auto-1', 2, { kind: 'automatic' }), kept('new', 3)];
const busOf = (answer: () => Promise<object>) => ({ bus: { request: answer } as unknown as Bus });

test('the plan of a move names the snapshots that stay, protected ones first', async () => {
  const web1 = { name: 'web1', host: 'host1', snapshots: 3 };
  const names = await namesBehind(
    busOf(async () => ({ snapshots: all })),
    web1,
  );
  expect(behind(web1, names)).toBe(
    '; its 3 snapshots (old, new, auto-1) stay on host1 and go with the old copy',
  );
  expect(behind({ host: 'host1', snapshots: 7 }, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toContain(
    '(a, b, c, d, e and 2 more)',
  );
  const silent = busOf(() => Promise.reject(new Error('too old')));
  expect(behind(web1, await namesBehind(silent, web1))).toBe(
    '; its 3 snapshots stay on host1 and go with the old copy',
  );
});

test('what goes along is told beside what stays', () => {
  expect(along(1, ['old'])).toBe('; its snapshot (old) goes along');
  const [one, two] = [
    { host: 'host1', snapshots: 3 },
    { host: 'host1', snapshots: 2 },
  ];
  expect(ofAll([one, two], new Set([one]))).toBe(
    '; their 3 snapshots go along; their 2 snapshots stay on host1 and go with the old copy',
  );
  expect(ofAll([one, two], new Set([one, two]))).toBe('; their 5 snapshots go along');
  expect(ofAll([], new Set())).toBe('');
});

test('a person is asked for those that are not of the schedule', () => {
  expect(questionOf('web1', 'host1', all)).toContain('leaves its 2 snapshots on host1: old, new.');
  expect(questionOf('web1', 'host1', all.slice(1, 2))).toBeUndefined();
  expect(questionOf('web1', 'host1', [])).toBeUndefined();
});
