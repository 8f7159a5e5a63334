import * as fc from 'fast-check';
import { type Kind, among } from './kinds/kind.ts';
import { type Deed, type Fault, type Scenario, type When, ask } from './scenario.ts';

const HOSTS = ['host1', 'host2', 'host3'];
const short = fc.integer({ min: 100, max: 5000 });
/** Also longer than a saga asks for an answer. */
const long = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 1000, max: 40_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 130_000, max: 200_000 }) },
);

function commandOf(name: string): { command: string; node: string } {
  const [command = '', node = ''] = name.split('@');
  return { command, node };
}
function whenOf(kind: Kind, hosts: string[]): fc.Arbitrary<When> {
  const { from = 0, ms, critical, commands, steps } = kind;
  const command = fc.oneof(
    { weight: 1, arbitrary: among(...commands) },
    { weight: 1, arbitrary: among(...critical) },
  );
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc.integer({ min: from, max: from + ms }).map((at): When => ({ kind: 'at', ms: at })),
    },
    {
      weight: 4,
      arbitrary: fc
        .record({ node: among('master', ...hosts), n: fc.integer({ min: 1, max: 300 }) })
        .map((one): When => ({ kind: 'call', ...one })),
    },
    {
      weight: 6,
      arbitrary: fc
        .record({ kind: among('on' as const, 'after' as const), command, n: among(1, 1, 1, 2) })
        .map((one): When => ({ kind: one.kind, ...commandOf(one.command), n: one.n })),
    },
    { weight: 4, arbitrary: among(...steps).map((step): When => ({ kind: 'step', step })) },
  );
}
function brokenOf({ cuts }: Kind, hosts: string[]): fc.Arbitrary<Deed> {
  const node = among(...hosts);
  const anywhere = among('master', ...hosts);
  const ways = cuts ?? [
    ['host1', 'master'],
    ['host2', 'master'],
    ['host1', 'host2'],
  ];
  const of = <T extends Deed>(weight: number, arbitrary: fc.Arbitrary<T>) => ({
    weight,
    arbitrary: arbitrary as fc.Arbitrary<Deed>,
  });
  return fc.oneof(
    of(
      4,
      fc.record({ node, ms: short }).map((one): Deed => ({ what: 'kill', process: 'agent', ...one })),
    ),
    of(
      2,
      short.map((ms): Deed => ({ what: 'kill', node: 'master', process: 'master', ms })),
    ),
    of(
      1,
      short.map((ms): Deed => ({ what: 'kill', node: 'master', process: 'broker', ms })),
    ),
    of(
      3,
      fc.record({ node, ms: long }).map((one): Deed => ({ what: 'power', ...one })),
    ),
    of(
      3,
      long.map((ms): Deed => ({ what: 'power', node: 'master', ms })),
    ),
    of(
      3,
      fc
        .record({ way: among(...ways), ms: long })
        .map(({ way: [a, b], ms }): Deed => ({ what: 'cut', a, b, ms })),
    ),
    of(
      1,
      fc
        .record({ node: anywhere, ms: among(-3_600_000, 3_600_000) })
        .map((one): Deed => ({ what: 'clock', ...one })),
    ),
    of(
      1,
      fc.record({ node, ms: long }).map((one): Deed => ({ what: 'full', ...one })),
    ),
    of(
      2,
      fc.record({ node, times: among(1, 1, 2, 5) }).map((one): Deed => ({ what: 'eio', ...one })),
    ),
    of(
      1,
      fc
        .record({ node, times: fc.integer({ min: 1, max: 3 }) })
        .map((one): Deed => ({ what: 'nostart', ...one })),
    ),
  );
}
function personOf({ typed: verbs = ['start', 'start', 'stop'] }: Kind, hosts: string[]): fc.Arbitrary<Deed> {
  const typed =
    verbs.length > 0 &&
    fc
      .record({ verb: among(...verbs), node: among('host1', ...hosts) })
      .map((one): Deed => ({ what: 'hand', name: 'web1', ...one }));
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant<Deed>({ what: 'abort' }) },
    {
      weight: verbs.length === 0 ? 0 : 4,
      arbitrary: fc
        .record({ verb: among('start', 'stop', 'restart', 'enable', 'disable'), target: among(...hosts) })
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
        among(...HOSTS).map((host) => ask('move', { name: 'web1', host })),
        fc.constant(ask('remove', { name: 'web1' })),
        among('host1', 'host2').map((host) =>
          ask('create', { name: 'web1', address: '10.60.10.9', source: 'busybox', host, start: true }),
        ),
      ),
    },
    ...(typed ? [{ weight: 3, arbitrary: typed }] : []),
  );
}
/** A fault of a host just when it gets or has done something on which most depends. */
function aimedOf({ critical }: Kind): fc.Arbitrary<Fault> {
  const deed = fc.oneof(
    { weight: 5, arbitrary: long.map((ms) => ({ what: 'power' as const, ms })) },
    { weight: 2, arbitrary: short.map((ms) => ({ what: 'kill' as const, process: 'agent' as const, ms })) },
    { weight: 5, arbitrary: among(1, 1, 2, 5).map((times) => ({ what: 'eio' as const, times })) },
    { weight: 1, arbitrary: long.map((ms) => ({ what: 'full' as const, ms })) },
  );
  return fc
    .record({ kind: among('on' as const, 'after' as const), name: among(...critical), deed })
    .map((one) => {
      const { command, node } = commandOf(one.name);
      return { when: { kind: one.kind, command, node, n: 1 }, deed: { ...one.deed, node } };
    });
}
/** The master dies in a step in which all depends on its disk. */
function atMasterOf(steps: string[]): fc.Arbitrary<Fault> {
  const of = (weight: number, arbitrary: fc.Arbitrary<Deed>) => ({ weight, arbitrary });
  const deed = fc.oneof(
    of(
      4,
      long.map((ms): Deed => ({ what: 'power', node: 'master', ms })),
    ),
    of(
      2,
      short.map((ms): Deed => ({ what: 'kill', node: 'master', process: 'master', ms })),
    ),
    of(
      1,
      short.map((ms): Deed => ({ what: 'full', node: 'master', ms })),
    ),
    of(2, fc.constant<Deed>({ what: 'abort' })),
  );
  return fc
    .record({ step: among(...steps), deed })
    .map((one) => ({ when: { kind: 'step', step: one.step }, deed: one.deed }));
}
/** Most faults hit where something is just done. */
function near({ when, deed }: Fault, isNear: boolean): Fault {
  if (!isNear || !('node' in when) || !('node' in deed) || deed.node === 'master') return { when, deed };
  return {
    when,
    deed: { ...deed, node: when.node === 'master' && deed.what !== 'power' ? deed.node : when.node },
  };
}

/** Scenarios of one kind of saga: none to four faults, and people who step in. */
export function scenarioOf(kind: Kind): fc.Arbitrary<Scenario> {
  const hosts = kind.hosts ?? HOSTS.slice(0, 2);
  const anyhow: fc.Arbitrary<Fault> = fc
    .record({
      when: whenOf(kind, hosts),
      deed: fc.oneof(
        { weight: 2, arbitrary: brokenOf(kind, hosts) },
        { weight: 1, arbitrary: personOf(kind, hosts) },
      ),
      isNear: among(true, true, false),
    })
    .map(({ isNear, ...one }) => near(one, isNear));
  const fault = fc.oneof(
    { weight: 3, arbitrary: anyhow },
    { weight: 2, arbitrary: aimedOf(kind) },
    ...(kind.atMaster ? [{ weight: 2, arbitrary: atMasterOf(kind.atMaster) }] : []),
  );
  return fc
    .record({
      seed: fc.noShrink(fc.integer({ min: 1, max: 1_000_000 })),
      btrfs: kind.btrfs ?? among<string[]>([], hosts, ['host1']),
      setting: kind.setting,
      twice: among(0, 0.05, 0.3),
      slow: among(0, 0, 0.1),
      faults: fc.array(fault, { maxLength: 4 }),
    })
    .map(({ setting: { vservers, begin, evacuated = [] }, faults, ...rest }) => ({
      // a host that nobody speaks of costs time
      hosts: JSON.stringify([hosts, vservers, faults]).includes('host3') ? HOSTS : HOSTS.slice(0, 2),
      ...rest,
      vservers,
      evacuated,
      faults: [...begin, ...faults],
    }));
}
