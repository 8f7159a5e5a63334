import { randomBytes } from 'node:crypto';
import { copySettings } from '../../config/settings.ts';
import { systemClock } from '../../shared/clock.ts';
import { openEpochs } from './epochs.ts';
import { type SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { sealKey } from '../../shared/seal.ts';
import type { Context } from '../../shared/service.ts';
import { type MortalAgents, agentsOf } from './agent.ts';
import { openArchive } from './archive.ts';
import { type Plan, buildSaga } from './build.ts';
import { openCarrier } from './carry.ts';
import { openChildren } from './children.ts';
import { openDamaged } from './damaged.ts';
import { keepFinished } from './finished.ts';
import { openFormer } from './former.ts';
import { openHolds } from './holds.ts';
import { openInterventions } from './interventions.ts';
import { notWritten, openJournals } from './journal.ts';
import { openMarks } from './marks.ts';
import type { Planned } from './plans/planned.ts';
import type { Pool } from './pool.ts';
import type { Removed } from './removed.ts';
import { isFinished } from './replay.ts';
import { openTelling } from './telling.ts';

interface Begun {
  /** At its beginning. */
  state: SagaState;
  ended: Promise<SagaState>;
}
/** Runs sagas: one on a vserver at a time, several side by side; goes on with what a former life left. */
export function sagaRunner(
  context: Pick<Context, 'bus' | 'settings' | 'log' | 'version'>,
  pool: Pool,
  {
    clock = systemClock,
    journals = openJournals(`${context.settings.STATE_DIR}/sagas`),
    archive = openArchive(`${context.settings.STATE_DIR}/sagas/archive.db`, (message) =>
      context.log.error(message),
    ),
    marks = openMarks(context.settings),
    epochs = openEpochs(context),
    removed = undefined as Pick<Removed, 'add'> | undefined,
    newId = (kind: string) => `${kind}-${clock.now().toString(36)}${randomBytes(2).toString('hex')}`,
  } = {},
) {
  const { bus, log, settings } = context;
  const agents: MortalAgents = {
    ...agentsOf(bus, pool, clock, () => sealKey(copySettings(context.settings))),
    ...(removed ? { removed: (one) => removed.add(one) } : {}),
  };
  const states = new Map<string, SagaState>();
  const telling = openTelling({ bus, log, clock, settings, states });
  const { publish } = telling;
  const holds = openHolds(states);
  const finished = keepFinished({ bus, settings, log, clock, journals, archive, states });
  const { tidy } = finished;
  const damaged = openDamaged({ bus, log, clock, journals, states, holds, publish });
  const carrier = openCarrier({ bus, settings, log, clock, journals, holds, telling, tidy });
  const children = openChildren({
    deciding: { context, pool, epochs, marks, past: () => finished.list({ limit: 200 }) },
    clock,
    watchers: telling.watchers,
    state: (id) => states.get(id),
    join: (id) => carrier.running.get(id)?.ended ?? states.get(id) ?? archive.state(id),
    begin: (planned, args, issuer, child) => begin(planned, args, issuer, false, child).ended,
  });
  const build = (plan: Plan, state: SagaState) => buildSaga(plan, state, agents, children);
  const former = openFormer({ bus, log, journals, agents, states, holds, damaged, carrier, publish, build });

  let isResumed = false;

  /** Journals a saga and lets it run; with an id of its own it belongs to a step of its parent. Throws VsError. */
  function begin(
    planned: Planned,
    args: Record<string, unknown>,
    issuer: string,
    dryRun: boolean,
    child?: { id: string; parent: string },
  ): Begun {
    former.lookAgain();
    damaged.refuse();
    holds.refuse(planned, args);
    const { kind, plan, vserver, title, also, host, shows } = planned;
    const id = child?.id ?? newId(kind);
    const state: SagaState = {
      id,
      kind,
      vserver,
      ...(host ? { host } : {}),
      ...(also ? { also } : {}),
      ...(child ? { parent: child.parent } : {}),
      args,
      result: 'running',
      title,
      ...shows,
      steps: [],
      issuer,
      started: clock.now(),
    };
    const saga = build({ kind, plan } as Plan, state);
    if (dryRun) return { state, ended: Promise.resolve(state) };
    try {
      journals.append(id, { kind: 'begin', plan: { kind, plan }, state });
    } catch (error) {
      throw notWritten(error, 'nothing was changed');
    }
    publish(state);
    const ended = carrier.run(saga, false);
    return { state: structuredClone(state), ended };
  }
  function show(id: string) {
    former.lookAgain();
    const saga = states.get(id);
    if (damaged.has(id) && saga) return { saga, journal: [] };
    if (saga) return { saga, journal: journals.read(id) };
    const old = archive.get(id);
    if (old) return { saga: old.state, journal: old.journal };
    throw new VsError('not-found', damaged.get(id)?.message ?? `there is no saga ${id}; see: vs saga list`);
  }

  return {
    /** For steps that begin sagas. */
    children,
    /** The saga's state at its beginning; `ended` is its end. */
    begin: (planned: Planned, args: Record<string, unknown>, issuer: string, dryRun: boolean): Begun =>
      begin(planned, args, issuer, dryRun),
    /** Goes on with every saga that has no end yet. */
    resume(): void {
      former.resume();
      isResumed = true;
      void finished.settle();
    },
    list(which: { limit: number; vserver?: string; running?: boolean }) {
      former.lookAgain();
      return finished.list(which);
    },
    /** What holds up the begin of any saga, for people. */
    damaged: damaged.list,
    close: archive.close,
    /** Is there such a saga, running or not? */
    knows: (id: string): boolean => states.has(id) || damaged.has(id) || archive.has(id),
    show,
    /** Has it ended, or is it forgotten? Nobody knows before the sagas of a former life were taken over. */
    isOver(id: string): boolean {
      const state = states.get(id);
      return isResumed && !damaged.has(id) && (!state || isFinished(state));
    },
    ...openInterventions({
      journals,
      agents,
      damaged,
      carrier,
      former,
      states,
      isOnline: pool.isOnline,
      show,
    }),
  };
}
export type Runner = ReturnType<typeof sagaRunner>;
