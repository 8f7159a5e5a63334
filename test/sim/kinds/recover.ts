import * as fc from 'fast-check';
import { type Fault, ask } from '../scenario.ts';
import { type Kind, among, at, becomes, inTrash, onMaster, receives, takesOver, to, web1 } from './kind.ts';

/** The pool has heard by then that a host without power is away (ms). */
const AWAY_MS = 20_500;
const here = inTrash('host2');
const elsewhere = inTrash('host3');

/** What somebody, or a command of long ago, does at the host that came back. */
const late = among(
  undefined,
  undefined,
  'host-agent.start',
  'host-agent.start',
  'host-agent.restart',
  'host-agent.claim',
);
/** What was at work when the host died. */
const before = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Fault[]>([]) },
  {
    weight: 1,
    arbitrary: among(ask('get', { name: 'web1' }), ask('move', { name: 'web1', host: 'host2' })).map(
      (deed) => [at(0, deed)],
    ),
  },
);

/** host1 dies (or seems to), its vserver is recovered on host2 from a copy of before, and host1 comes back. */
export const recover: Kind = {
  setting: fc
    .record({
      copies: among([onMaster], [here], [onMaster, here], [elsewhere]),
      before,
      /** It is not dead then, only cut off from the master. */
      isCut: among(false, false, false, true),
      died: fc.integer({ min: 0, max: 5000 }),
      away: fc.oneof(
        fc.integer({ min: 20_300, max: 21_500 }),
        fc.integer({ min: 21_000, max: 26_000 }),
        fc.integer({ min: 40_000, max: 90_000 }),
        fc.integer({ min: 40_000, max: 90_000 }),
      ),
      start: among<object>({}, {}, { start: false }),
      /** A person has no more use for it, so long (ms) after it was recovered. */
      removed: among(undefined, undefined, undefined, 6000, 15_000),
      late,
      after: fc.integer({ min: 500, max: 15_000 }),
    })
    .map((one) => {
      const died = one.before.length > 0 ? one.died : 0;
      // it had one epoch more than the host that had it before
      const old = { saga: 'move-0', epoch: one.copies.some((copy) => copy.trash) ? 2 : 1 };
      const args = { name: 'web1', ...(one.late === 'host-agent.claim' ? old : {}) };
      const back = died + one.away + one.after;
      return {
        vservers: [web1(true, true), ...one.copies],
        begin: [
          ...one.before,
          at(
            died,
            one.isCut
              ? { what: 'cut', a: 'host1', b: 'master', ms: one.away }
              : { what: 'power', node: 'host1', ms: one.away },
          ),
          at(died + AWAY_MS, ask('recover', { name: 'web1', host: 'host2', confirm: 'web1', ...one.start })),
          ...(one.removed === undefined
            ? []
            : [
                at(died + AWAY_MS + one.removed, {
                  what: 'ask',
                  target: 'host2',
                  command: 'host-agent.stop',
                  args: { name: 'web1' },
                }),
                at(died + AWAY_MS + one.removed + 2000, ask('remove', { name: 'web1', host: 'host2' })),
              ]),
          ...(one.late ? [at(back, { what: 'ask', target: 'host1', command: one.late, args })] : []),
        ],
      };
    }),
  commands: [
    ...receives('host2'),
    ...becomes('host2'),
    ...to('host2', 'host-agent.lock', 'host-agent.unlock', 'host-agent.enable'),
    ...to('host2', 'network.check', 'snapshot.recall'),
  ],
  critical: takesOver('host2'),
  steps: [
    'check',
    'lock',
    'copy',
    'verify',
    'recall',
    'adopt',
    'look again',
    'own',
    'start',
    'answer',
    'unlock',
  ],
  ms: 4000,
  from: AWAY_MS,
  // a host that is cut off from all others is no dead host, and a person must not say so (docs/sagas.md)
  cuts: [
    ['host2', 'master'],
    ['host1', 'master'],
  ],
  typed: [],
};
