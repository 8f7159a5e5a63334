import { expect, test } from 'vitest';
import { faults, fits } from '../../deploy/crash/faults.ts';
import { rowsOf } from '../../deploy/crash/line.ts';
import { isInPart, isMeant } from '../../deploy/crash/matrix.ts';
import { sagas } from '../../deploy/crash/sagas.ts';
import { mark, repeatOf, tableOf } from '../../deploy/crash/table.ts';
import { bootLog, listingLog } from '../../deploy/crash/two.ts';
import { sagaState } from '../../shared/contract/saga.ts';
import type { Line } from '../../services/orchestrator/journal.ts';

test('the prober: one boot after the other is one copy; the first that answers a later question ran beside the second', () => {
  const one = bootLog('10.60.10.5');
  expect(one.heard('a', 0, 5)).toBeUndefined();
  expect(one.heard('a', 20, 25)).toBeUndefined();
  expect(one.heard('b', 40, 45)).toBeUndefined();
  expect(one.heard('a', 30, 50)).toBeUndefined(); // asked before b answered: a may have ended before b began
  expect(one.heard('b', 60, 65)).toBeUndefined();
  expect(one.heard('a', 46, 70)).toMatchObject({ means: 'prober', what: '10.60.10.5' });
});

test('the prober: it does not matter which answer comes first to hand', () => {
  const one = bootLog('x');
  expect(one.heard('b', 10, 15)).toBeUndefined();
  expect(one.heard('a', 0, 5)).toBeUndefined(); // an answer that was read late
  expect(one.heard('b', 20, 25)).toBeUndefined();
});

test('listings: a vserver on both hosts in two listings in a row; not when it passed from one to the other between them', () => {
  const one = listingLog();
  expect(one.seen({ web1: ['host1'], web2: ['host2'] }, 1)).toEqual([]);
  expect(one.seen({ web1: ['host1', 'host2'] }, 2)).toEqual([]);
  expect(one.seen({ web1: ['host2'] }, 3)).toEqual([]);
  expect(one.seen({ web1: ['host1', 'host2'] }, 4)).toEqual([]);
  expect(one.seen({ web1: ['host1', 'host2'] }, 5)).toMatchObject([{ means: 'listing', what: 'web1', t: 5 }]);
});

test('the lines of a journal are rows, the way back after an abort has its own', () => {
  const lines = [
    { kind: 'begin' },
    { kind: 'started', step: 'seed' },
    { kind: 'started', step: 'seed' },
    { kind: 'abort' },
    { kind: 'failed', step: 'seed' },
    { kind: 'undoing', step: 'seed' },
    { kind: 'end' },
  ].map((line) => ({ ts: 1, ...line }) as Line);
  expect(rowsOf(lines)).toEqual([
    'begin',
    'started seed',
    'undo: abort',
    'undo: failed seed',
    'undo: undoing seed',
    'undo: end',
  ]);
  expect(rowsOf([{ ts: 1, kind: 'pnr', step: 'give up' }])).toEqual(['pnr']);
  expect(isMeant('undo: started seed', '=started seed')).toBe(false);
  expect(isMeant('undo: started seed', 'stop,seed')).toBe(true);
  expect(isMeant('begin', 'stop,=begin')).toBe(true);
});

test('the table: the worst of the runs of a cell, and how it is repeated', () => {
  expect(mark([{ outcome: 'undone' }, { outcome: 'done' }])).toBe('done/undone');
  expect(mark([{ outcome: 'done' }, { outcome: 'VIOLATION' }])).toBe('VIOLATION');
  expect(mark([])).toBe('');
  const cell = {
    saga: 'move',
    storage: 'btrfs',
    row: 'started seed',
    fault: 'target-power',
    delay: 12.6,
  } as const;
  expect(repeatOf(cell)).toBe(
    "npm run test:crash -- --saga move --storage btrfs --victim target-power --only '=started seed' --delay 13",
  );
  const results = [{ ...cell, outcome: 'done' as const, why: [], ms: 1 }];
  expect(
    tableOf('move btrfs', ['begin', 'started seed'], ['broker', 'target-power'], results).split('\n'),
  ).toEqual(['move btrfs                broker    tgt-power', 'started seed                        done']);
});

test('every kind of saga has rows, and a fault is a column only where there is what it breaks', () => {
  const inMatrix = new Set(Object.values(sagas).map((one) => one.kind));
  // vs-tools of a lab is this directory, and comes from no package: test/unit/saga-update, docs/crash-matrix.md
  const elsewhere = ['update-hosts', 'update-host'];
  expect(sagaState.shape.kind.options.filter((kind) => !inMatrix.has(kind))).toEqual(elsewhere);
  const columns = (parts: Parameters<typeof fits>[1]) =>
    ['orchestrator', 'source-agent', 'target-agent', 'cut-hosts', 'dead-returns'].filter((name) =>
      fits(faults[name], parts),
    );
  expect(columns({})).toEqual(['orchestrator']);
  expect(columns({ target: 'host1', dead: 'host2' })).toEqual([
    'orchestrator',
    'target-agent',
    'dead-returns',
  ]);
  expect(columns({ source: 'host1', target: 'host2' })).toEqual([
    'orchestrator',
    'source-agent',
    'target-agent',
    'cut-hosts',
  ]);
});

test.each([
  [7, 4],
  [8, 4],
  [3, 3],
  [10, 7],
])(
  'parts of a table of %i columns by %i: each cell is in one of them, each has all columns',
  (columns, of) => {
    const parts = Array.from({ length: of }, (_, index) => ({ nth: index + 1, of }));
    const seen = parts.map(() => new Set<number>());
    for (let row = 0; row < 28; row++)
      for (let column = 0; column < columns; column++) {
        const mine = parts.filter((part) => isInPart(row, column, columns, part));
        expect(mine).toHaveLength(1);
        seen[(mine[0]?.nth ?? 0) - 1]?.add(column);
      }
    expect(seen.map((one) => one.size)).toEqual(parts.map(() => columns));
  },
);
