import * as fc from 'fast-check';
import { type Fault, type Vserver, ask } from '../scenario.ts';
import {
  type Kind,
  always,
  among,
  at,
  becomes,
  begins,
  holds,
  mostlyRunning,
  receives,
  running,
  sends,
  takesOver,
  to,
} from './kind.ts';

const commands = [
  ...sends('host1'),
  ...holds('host1'),
  ...to('host1', 'host-agent.stop', 'host-agent.release', 'snapshot.trash'),
  ...receives('host2'),
  ...holds('host2'),
  ...becomes('host2'),
  ...to('host2', 'host-agent.prepare'),
];
const critical = [
  ...to('host1', 'host-agent.release', 'snapshot.trash'),
  ...to(
    'host2',
    'transfer.verify',
    'transfer.verify',
    'snapshot.adopt',
    'host-agent.claim',
    'host-agent.claim',
    'host-agent.start',
  ),
];
const stepsWith = (stop: string): string[] =>
  `lock|stage|seed|delta 1|prepare|${stop}|final|verify|adopt|give up|take over|start|answer|clean up`.split(
    '|',
  );
const arrives = [
  ...to('host1', 'snapshot.kept', 'transfer.send'),
  ...to('host2', 'snapshot.arrive', 'snapshot.arrive'),
];
const freezes = to('host1', 'host-agent.freeze', 'host-agent.thaw');

const some = fc.record({ running: fc.boolean(), enabled: fc.boolean() });
const several: fc.Arbitrary<Vserver[]> = fc
  .oneof({ weight: 3, arbitrary: fc.tuple(some, some) }, { weight: 1, arbitrary: fc.tuple(some, some, some) })
  .map((all) => all.map((one, index) => ({ name: `web${index + 1}`, host: 'host1', ...one })));
const parallel = among(1, 2, 3);
const wide: Pick<Kind, 'ms' | 'hosts' | 'cuts'> = {
  ms: 9000,
  hosts: ['host1', 'host2', 'host3'],
  cuts: [
    ['host1', 'master'],
    ['host2', 'master'],
    ['host3', 'master'],
    ['host1', 'host2'],
    ['host1', 'host3'],
  ],
};

export const moves: Record<string, Kind> = {
  move: {
    setting: begins(mostlyRunning, 'move', always({ name: 'web1', host: 'host2' })),
    commands,
    critical,
    steps: stepsWith('stop'),
    ms: 3500,
  },
  /** With a kept snapshot, which goes along where both hosts have btrfs. */
  'move-kept': {
    of: 'move',
    setting: begins(
      mostlyRunning.map((all) => all.map((one) => ({ ...one, kept: true }))),
      'move',
      always({ name: 'web1', host: 'host2' }),
    ),
    commands: [...commands, ...arrives],
    critical: [...critical, ...arrives],
    steps: [...stepsWith('stop'), 'snapshots', 'keep'],
    btrfs: among(['host1', 'host2'], ['host1', 'host2'], ['host1', 'host2'], ['host1']),
    ms: 4500,
  },
  'move-frozen': {
    of: 'move',
    setting: begins(running, 'move', always({ name: 'web1', host: 'host2', crashConsistent: true })),
    commands: [...commands, ...freezes],
    critical: [...critical, ...freezes],
    steps: stepsWith('freeze'),
    ms: 3500,
    typed: ['start', 'stop', 'unfreeze', 'unfreeze'],
  },
  /** One of its hosts dies near the point of no return, or seems to, and a person has it recovered on the other, or tries the wrong one first. */
  'move-dead': {
    of: 'move',
    setting: fc
      .record({
        vservers: mostlyRunning,
        crashConsistent: among(false, false, true),
        dies: among('host1', 'host2'),
        isCut: among(false, false, false, true),
        away: fc.integer({ min: 40_000, max: 90_000 }),
        when: among('on' as const, 'after' as const),
        target: among(
          'host-agent.claim',
          'host-agent.claim',
          'host-agent.start',
          'host-agent.answering',
          'snapshot.discard',
        ),
        order: among(['host1', 'host2'], ['host2', 'host1']),
        asked: fc.integer({ min: 28_000, max: 36_000 }),
      })
      .map(({ vservers, crashConsistent, dies, isCut, away, when, target, order, asked }) => ({
        vservers,
        begin: [
          at(
            0,
            ask('move', { name: 'web1', host: 'host2', ...(crashConsistent ? { crashConsistent } : {}) }),
          ),
          {
            when: {
              kind: when,
              command: dies === 'host1' ? 'host-agent.release' : target,
              node: dies,
              n: 1,
            },
            deed: isCut
              ? { what: 'cut', a: dies, b: 'master', ms: away }
              : { what: 'power', node: dies, ms: away },
          } satisfies Fault,
          ...order.map((host, n) =>
            at(asked + n * 4000, ask('recover', { name: 'web1', host, confirm: 'web1' })),
          ),
        ],
      })),
    commands,
    critical: [...critical, ...to('host1', 'host-agent.claim', 'host-agent.start', 'host-agent.claim')],
    steps: stepsWith('stop'),
    ms: 3500,
    from: 28_000,
    cuts: [
      ['host1', 'master'],
      ['host2', 'master'],
    ],
    typed: [],
  },
  evacuate: {
    setting: fc.record({ vservers: several, parallel }).map(({ vservers, ...wish }) => ({
      vservers,
      begin: [at(0, ask('evacuate', { host: 'host1', ...wish }))],
    })),
    commands: [...commands, ...receives('host3'), ...becomes('host3')],
    critical: [...critical, ...takesOver('host3')],
    steps: ['mark host', 'move all', 'seed', 'give up', 'take over', 'clean up'],
    ...wide,
  },
  'restore-host': {
    setting: fc
      .record({
        vservers: several,
        parallel,
        where: fc.array(among('host2', 'host3'), { minLength: 3, maxLength: 3 }),
      })
      .map(({ vservers, where, ...wish }) => ({
        vservers: vservers.map((one, index) => ({ ...one, host: where[index] ?? 'host2' })),
        evacuated: ['host1'],
        begin: [at(0, ask('restore-host', { host: 'host1', ...wish }))],
      })),
    commands: [...sends('host2'), ...receives('host1'), ...becomes('host1'), ...holds('host2')],
    critical: [...to('host2', 'host-agent.release', 'snapshot.trash'), ...takesOver('host1')],
    steps: ['move back', 'lift mark', 'seed', 'give up', 'take over', 'clean up'],
    ...wide,
  },
};
