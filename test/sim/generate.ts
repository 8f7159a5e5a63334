import * as fc from 'fast-check';
import { type Deed, type Fault, type Scenario, type Vserver, type When, ask } from './scenario.ts';

const HOSTS = ['host1', 'host2', 'host3'];
const among = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

/** What a saga is begun with, and where it acts: the commands that faults wait for, its steps, how long it takes (ms). */
export interface Kind {
  vservers: fc.Arbitrary<Vserver[]>;
  begin: fc.Arbitrary<Deed[]>;
  commands: string[];
  steps: string[];
  ms: number;
}
const web1 = (running: boolean, enabled: boolean, host = 'host1'): Vserver => ({
  name: 'web1',
  host,
  running,
  enabled,
});
const mostlyRunning = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Vserver[]>([web1(true, true)]) },
  {
    weight: 1,
    arbitrary: among([true, false], [false, true], [false, false]).map(([running = true, enabled = true]) => [
      web1(running, enabled),
    ]),
  },
);
const copying = [
  'snapshot.allocate',
  'transfer.open',
  'transfer.send',
  'transfer.suspects',
  'transfer.flush',
  'transfer.verify',
  'snapshot.renew',
  'snapshot.promote',
  'snapshot.adopt',
  'transfer.close',
  'snapshot.discard',
];
const owning = [
  'host-agent.lock',
  'host-agent.unlock',
  'host-agent.stop',
  'host-agent.start',
  'host-agent.release',
  'host-agent.claim',
  'host-agent.answering',
  'host-agent.detach',
];
export const kinds: Record<string, Kind> = {
  move: {
    vservers: mostlyRunning,
    begin: fc.constant([ask('move', { name: 'web1', host: 'host2' })]),
    commands: [...copying, ...owning, 'host-agent.prepare', 'snapshot.trash', 'snapshot.remove'],
    steps: [
      'lock',
      'stage',
      'seed',
      'delta 1',
      'prepare',
      'stop',
      'final',
      'verify',
      'adopt',
      'give up',
      'take over',
      'start',
      'answer',
      'clean up',
    ],
    ms: 3500,
  },
  create: {
    vservers: fc.constant([]),
    begin: fc
      .record({ start: fc.boolean(), enable: fc.boolean() })
      .map((wish) => [
        ask('create', { name: 'web1', address: '10.60.10.5', source: 'busybox', host: 'host1', ...wish }),
      ]),
    commands: [
      ...owning,
      'snapshot.allocate',
      'snapshot.adopt',
      'snapshot.discard',
      'host-agent.install',
      'network.check',
    ],
    steps: ['template', 'lock', 'network', 'stage', 'install', 'adopt', 'own', 'start', 'answer', 'unlock'],
    ms: 1200,
  },
  copy: {
    vservers: mostlyRunning,
    begin: fc
      .record({ host: among('host1', 'host2'), start: fc.boolean() })
      .map((wish) => [ask('copy', { name: 'web1', to: 'web2', address: '10.60.10.6', ...wish })]),
    commands: [...copying, ...owning, 'host-agent.install', 'snapshot.fork', 'snapshot.remove'],
    steps: ['lock', 'network', 'stage', 'copy', 'install', 'adopt', 'own', 'start', 'answer', 'unlock'],
    ms: 2500,
  },
  rename: {
    vservers: mostlyRunning,
    begin: fc.constant([ask('rename', { name: 'web1', to: 'web3', restart: true })]),
    commands: [...owning, 'host-agent.rename', 'snapshot.adopt'],
    steps: ['lock', 'stop', 'give up', 'rename', 'adopt', 'take over', 'start', 'answer', 'clean up'],
    ms: 1200,
  },
  get: {
    vservers: mostlyRunning,
    begin: fc.constant([ask('get', { name: 'web1' })]),
    commands: [...copying, 'host-agent.lock', 'host-agent.unlock', 'snapshot.remove'],
    steps: ['lock', 'stage', 'copy', 'verify', 'let go', 'put aside', 'keep', 'clean up'],
    ms: 2500,
  },
  remove: {
    vservers: fc.boolean().map((enabled) => [web1(false, enabled)]),
    begin: fc.constant([ask('remove', { name: 'web1' })]),
    commands: [
      'host-agent.lock',
      'host-agent.release',
      'host-agent.detach',
      'snapshot.trash',
      'host-agent.unlock',
    ],
    steps: ['lock', 'give up', 'trash'],
    ms: 300,
  },
};

function whenOf(kind: Kind): fc.Arbitrary<When> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: kind.ms }).map((ms): When => ({ kind: 'at', ms })) },
    {
      weight: 4,
      arbitrary: fc
        .record({ node: among('master', 'host1', 'host2'), n: fc.integer({ min: 1, max: 300 }) })
        .map((one): When => ({ kind: 'call', ...one })),
    },
    {
      weight: 4,
      arbitrary: fc
        .record({
          kind: among('on' as const, 'after' as const),
          command: among(...kind.commands),
          node: among('host1', 'host2'),
          n: among(1, 1, 1, 2),
        })
        .map((one): When => one),
    },
    { weight: 4, arbitrary: among(...kind.steps).map((step): When => ({ kind: 'step', step })) },
  );
}
const short = fc.integer({ min: 100, max: 5000 });
const long = fc.integer({ min: 1000, max: 40_000 });
const broken: fc.Arbitrary<Deed> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.oneof(
      fc
        .record({ node: among('host1', 'host2'), ms: short })
        .map((one): Deed => ({ what: 'kill', process: 'agent', ...one })),
      fc
        .record({ ms: short })
        .map((one): Deed => ({ what: 'kill', node: 'master', process: 'master', ...one })),
    ),
  },
  {
    weight: 1,
    arbitrary: short.map((ms): Deed => ({ what: 'kill', node: 'master', process: 'broker', ms })),
  },
  {
    weight: 5,
    arbitrary: fc
      .record({ node: among('master', 'host1', 'host2'), ms: long })
      .map((one): Deed => ({ what: 'power', ...one })),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ a: among('host1', 'host2'), b: among('master', 'host2', 'host1'), ms: long })
      .filter(({ a, b }) => a !== b)
      .map((one): Deed => ({ what: 'cut', ...one })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ node: among('master', 'host1', 'host2'), ms: among(-3_600_000, 3_600_000) })
      .map((one): Deed => ({ what: 'clock', ...one })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ node: among('host1', 'host2'), ms: long })
      .map((one): Deed => ({ what: 'full', ...one })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ node: among('host1', 'host2'), times: among(1, 1, 2, 5) })
      .map((one): Deed => ({ what: 'eio', ...one })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ node: among('host1', 'host2'), times: fc.integer({ min: 1, max: 3 }) })
      .map((one): Deed => ({ what: 'nostart', ...one })),
  },
);
const person: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Deed>({ what: 'abort' }) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        verb: among('start', 'stop', 'restart', 'enable', 'disable'),
        target: among('host1', 'host2'),
      })
      .map(({ verb, target }): Deed => ({
        what: 'ask',
        target,
        command: `host-agent.${verb}`,
        args: { name: 'web1' },
      })),
  },
  {
    weight: 2,
    arbitrary: fc.oneof(
      among('host1', 'host2', 'host3').map((host) => ask('move', { name: 'web1', host })),
      fc.constant(ask('remove', { name: 'web1' })),
      among('host1', 'host2').map((host) =>
        ask('create', { name: 'web1', address: '10.60.10.9', source: 'busybox', host, start: true }),
      ),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        verb: among('start' as const, 'start' as const, 'stop' as const),
        node: among('host1', 'host1', 'host2'),
      })
      .map((one): Deed => ({ what: 'hand', name: 'web1', ...one })),
  },
);

/** Scenarios of one kind of saga: none to four faults, and people who step in. */
export function scenarioOf(kind: Kind): fc.Arbitrary<Scenario> {
  const fault: fc.Arbitrary<Fault> = fc.record({
    when: whenOf(kind),
    deed: fc.oneof({ weight: 2, arbitrary: broken }, { weight: 1, arbitrary: person }),
  });
  return fc
    .record({
      seed: fc.noShrink(fc.integer({ min: 1, max: 1_000_000 })),
      btrfs: among<string[]>([], HOSTS.slice(0, 2), ['host1']),
      vservers: kind.vservers,
      twice: among(0, 0, 0.05, 0.3),
      slow: among(0, 0, 0.1),
      begin: kind.begin,
      faults: fc.array(fault, { maxLength: 4 }),
    })
    .map(({ begin, faults, ...rest }) => ({
      // a host that nobody speaks of costs time
      hosts: JSON.stringify(faults).includes('host3') ? HOSTS : HOSTS.slice(0, 2),
      ...rest,
      faults: [...begin.map((deed): Fault => ({ when: { kind: 'at', ms: 0 }, deed })), ...faults],
    }));
}
