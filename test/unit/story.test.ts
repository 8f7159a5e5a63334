import { expect, test } from 'vitest';
import { story } from '../../cli/story.ts';
import type { SagaState } from '../../shared/contract/saga.ts';

const at = (seconds: number) => new Date(2026, 10, 26, 5, 9, 0).getTime() + seconds * 1000;
const state: SagaState = {
  id: 'move-1',
  kind: 'move',
  vserver: 'web1',
  args: {},
  result: 'undone',
  title: 'web1: host1 -> host2',
  issuer: 'anna',
  started: at(0),
  ended: at(95),
  message: 'web1 stays on host1.',
  steps: [
    { step: 'lock', state: 'undone', host: 'host1', started: at(1), ms: 100, message: 'epoch 1' },
    { step: 'seed', state: 'undone', host: 'host1', started: at(12), ms: 2000, message: '9.4 MB' },
    { step: 'delta 1', state: 'done', host: 'host1', started: at(13), ms: 500, message: '125 B' },
    { step: 'final', state: 'failed', host: 'host1', started: at(15), message: 'x'.repeat(200) },
  ],
};
const journal = [
  { ts: at(0), kind: 'begin' },
  { ts: at(0), kind: 'waits', message: 'waits for a free place on host1 (2 of 2)' },
  { ts: at(1), kind: 'started', step: 'lock' },
  { ts: at(1.1), kind: 'succeeded', step: 'lock' },
  { ts: at(2), kind: 'started', step: 'seed' },
  { ts: at(11), kind: 'resumed', message: 'the orchestrator was restarted' },
  { ts: at(12), kind: 'started', step: 'seed' },
  { ts: at(14), kind: 'succeeded', step: 'seed' },
  { ts: at(15), kind: 'started', step: 'final' },
  { ts: at(20), kind: 'abort', message: 'aborted by ben' },
  { ts: at(21), kind: 'failed', step: 'final', host: 'host2', message: 'aborted by ben' },
  { ts: at(22), kind: 'undoing', step: 'seed' },
  { ts: at(23), kind: 'retry', step: 'seed', message: 'host1 is offline' },
  { ts: at(90), kind: 'undone', step: 'seed' },
  { ts: at(95), kind: 'end', result: 'undone' },
];

test('the story of a saga has times, waiting, a restart, tries, who aborted, and fits 80 columns', () => {
  const lines = story(state, journal);
  expect(lines).toEqual([
    'web1: host1 -> host2',
    'Saga move-1, begun 2026-11-26 05:09:00 by anna',
    '  05:09:00    waits for a free place on host1 (2 of 2)',
    '  05:09:01  lock           0.10 s  host1: epoch 1',
    '  05:09:02  seed                   host1: broken off',
    '  05:09:11    the orchestrator was restarted',
    '  05:09:12  seed            2.0 s  host1: 9.4 MB',
    '  05:09:13    delta 1      0.50 s  125 B',
    '  05:09:15  final           6.0 s  host1: failed',
    '  05:09:20    aborted by ben',
    '  05:09:21    final failed on host2: aborted by ben',
    '  05:09:22  undo seed      68.0 s',
    '  05:09:23    tried again: host1 is offline',
    '  05:10:35  undone',
    'web1 stays on host1.',
  ]);
  const long = story(
    {
      ...state,
      steps: state.steps.toSpliced(0, 1, { ...state.steps[0], message: 'y'.repeat(300) } as never),
    },
    journal,
  );
  expect(Math.max(...long.map((line) => line.length))).toBeLessThanOrEqual(80);
});

test.each<[string, Partial<SagaState>, typeof journal, string[]]>([
  [
    'ended well and had nothing to say',
    { result: 'done', steps: [{ step: 'lock', state: 'done', host: 'host1', started: at(1), ms: 20 }] },
    [
      { ts: at(1), kind: 'started', step: 'lock' },
      { ts: at(1.02), kind: 'succeeded', step: 'lock' },
    ],
    ['  05:09:01  lock           0.02 s  host1'],
  ],
  [
    'ended well on what it is about, and had nothing to say',
    {
      result: 'done',
      vserver: 'host1',
      steps: [{ step: 'mark', state: 'done', host: 'host1', started: at(1), ms: 20 }],
    },
    [
      { ts: at(1), kind: 'started', step: 'mark' },
      { ts: at(1.02), kind: 'succeeded', step: 'mark' },
    ],
    ['  05:09:01  mark           0.02 s'],
  ],
  [
    'is at work',
    { result: 'running', steps: [{ step: 'lock', state: 'running', host: 'host1', started: at(1) }] },
    [{ ts: at(1), kind: 'started', step: 'lock' }],
    ['  05:09:01  lock                   host1: ...'],
  ],
  [
    'failed past the point of no return, of which there is no line',
    { result: 'stuck', steps: [{ step: 'start', state: 'failed', host: 'host2', started: at(1) }] },
    [{ ts: at(1), kind: 'started', step: 'start' }],
    ['  05:09:01  start                  host2: failed'],
  ],
  [
    'is just being undone',
    { result: 'running', steps: [{ step: 'lock', state: 'undoing', host: 'host1' }] },
    [{ ts: at(1), kind: 'undoing', step: 'lock' }],
    ['  05:09:01  undo lock              ...'],
  ],
  [
    'could not be undone',
    { result: 'stuck', steps: [{ step: 'lock', state: 'undoing', host: 'host1' }] },
    [{ ts: at(1), kind: 'undoing', step: 'lock' }],
    ['  05:09:01  undo lock              failed'],
  ],
  [
    'was broken off in its undo, and undone by the next life',
    { result: 'undone', steps: [{ step: 'lock', state: 'undone', host: 'host1' }] },
    [
      { ts: at(1), kind: 'undoing', step: 'lock' },
      { ts: at(2), kind: 'undoing', step: 'lock' },
      { ts: at(3), kind: 'undone', step: 'lock' },
    ],
    ['  05:09:01  undo lock              broken off', '  05:09:02  undo lock       1.0 s'],
  ],
])('a step that %s', (_, some, lines, expected) => {
  expect(story({ ...state, ...some }, lines).slice(2, -1)).toEqual(expected);
});
