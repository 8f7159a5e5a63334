import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { copySettings } from '../../config/settings.ts';
import { systemClock } from '../../shared/clock.ts';
import { type SagaState, sagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { sealKey } from '../../shared/seal.ts';
import type { Context } from '../../shared/service.ts';
import { agentsOf } from './agent.ts';
import { type Plan, buildSaga } from './build.ts';
import { type Saga, execute } from './executor.ts';
import { openJournals } from './journal.ts';
import type { Planned } from './plans/planned.ts';
import type { Pool } from './pool.ts';
import { replay } from './replay.ts';

const KEPT = 200;
const holds = (state: SagaState): string[] => [state.vserver, ...(state.also ?? [])];
const begun = z.looseObject({ plan: z.custom<Plan>(), state: sagaState });

/** Runs sagas: one on a vserver at a time, several side by side; goes on with what a former life left. */
export function sagaRunner(
  context: Pick<Context, 'bus' | 'settings' | 'log'>,
  pool: Pool,
  { clock = systemClock, journals = openJournals(`${context.settings.STATE_DIR}/sagas`) } = {},
) {
  const { bus, log } = context;
  const agents = agentsOf(bus, pool, clock, () => sealKey(copySettings(context.settings)));
  const running = new Map<string, { saga: Saga; ended: Promise<SagaState> }>();
  const states = new Map<string, SagaState>();
  const held = new Set<string>();

  function publish(state: SagaState): void {
    states.set(state.id, state);
    bus.retain(bus.topics.sagaState(state.id), structuredClone(state));
    if (state.result === 'stuck')
      bus.alert(state.vserver, 'saga', {
        ts: clock.now(),
        severity: 'critical',
        message: state.message ?? 'stuck',
        saga: state.id,
      });
    else if (state.result !== 'running') bus.alert(state.vserver, 'saga', null);
  }
  function run(saga: Saga): Promise<SagaState> {
    const { state } = saga;
    for (const name of holds(state)) held.add(name);
    const ended = execute(saga, {
      journals,
      publish,
      progress: (id, data) => {
        if (bus.connected)
          bus.publish(bus.topics.sagaProgress(id), { id, ...data }, { qos: 0 }).catch(() => undefined);
      },
      retry: { times: 60, waitMs: 2000 },
      log: (message, facts) => log.warn(facts, message),
      clock,
    })
      .catch((error: unknown) => {
        // its journal cannot be written: what happened is not on disk, so nobody else may touch the vserver
        log.error({ err: error, saga: state.id }, 'a saga ended in an error of its own');
        const message = `${state.vserver}: the saga could not go on: ${error instanceof Error ? error.message : String(error)}. Mend that, then restart the orchestrator`;
        Object.assign(state, { result: 'stuck', message, ended: clock.now() });
        publish(state);
        return state;
      })
      .finally(() => {
        running.delete(state.id);
        if (state.result !== 'stuck') for (const name of holds(state)) held.delete(name);
        bus.event('orchestrator', state.result, state.message ?? state.title, {
          saga: state.id,
          vserver: state.vserver,
        });
      });
    running.set(state.id, { saga, ended });
    return ended;
  }
  function load(id: string): { saga: Saga; ended: boolean } {
    const lines = journals.read(id);
    const first = begun.safeParse(lines[0]);
    if (!first.success)
      throw new VsError('failed', `the journal of saga ${id} has no beginning that this version knows`);
    const last = replay(lines).ended?.['state'] as SagaState | undefined;
    return {
      saga: buildSaga(first.data.plan, last ?? first.data.state, agents),
      ended: last !== undefined && last.result !== 'running',
    };
  }

  return {
    /** The saga's state at its beginning; `ended` is its end. */
    begin(
      plan: Planned,
      args: Record<string, unknown>,
      issuer: string,
      dryRun: boolean,
    ): { state: SagaState; ended: Promise<SagaState> } {
      const wanted = [plan.vserver, ...(plan.also ?? [])];
      const taken = wanted.find((name) => held.has(name));
      if (taken !== undefined) {
        const other = [...states.values()].find(
          (one) => (one.result === 'running' || one.result === 'stuck') && holds(one).includes(taken),
        );
        throw new VsError(
          'conflict',
          `a saga has ${taken} already (${other?.kind} ${other?.id}); see it with: vs saga show ${other?.id}`,
          { retryable: true },
        );
      }
      const address = args['address'];
      const rival = [...states.values()].find(
        (one) => address && one.args['address'] === address && one.result === 'running',
      );
      if (rival)
        throw new VsError(
          'conflict',
          `saga ${rival.id} is just giving ${String(address)} to ${rival.vserver}`,
          {
            retryable: true,
          },
        );
      const id = `${plan.kind}-${clock.now().toString(36)}${randomBytes(2).toString('hex')}`;
      const state: SagaState = {
        id,
        kind: plan.kind,
        vserver: plan.vserver,
        ...(plan.also ? { also: plan.also } : {}),
        args,
        result: 'running',
        title: plan.title,
        ...plan.shows,
        steps: [],
        issuer,
        started: clock.now(),
      };
      const saga = buildSaga({ kind: plan.kind, plan: plan.plan } as Plan, state, agents);
      if (dryRun) return { state, ended: Promise.resolve(state) };
      journals.append(id, { kind: 'begin', plan: { kind: plan.kind, plan: plan.plan }, state });
      publish(state);
      return { state: structuredClone(state), ended: run(saga) };
    },
    /** Goes on with every saga that has no end yet. */
    resume(): void {
      const ids = journals.ids();
      for (const id of ids) {
        try {
          if (journals.read(id).length === 0) continue; // a power cut before its first line: nothing was done
          const { saga, ended } = load(id);
          states.set(id, saga.state);
          if (saga.state.result === 'stuck') for (const name of holds(saga.state)) held.add(name);
          if (saga.state.result === 'stuck') publish(saga.state);
          else if (ended) bus.retain(bus.topics.sagaState(id), saga.state);
          else {
            log.warn({ saga: id }, 'going on with a saga of a former life');
            void run(saga).catch(() => undefined);
          }
        } catch (error) {
          log.error({ saga: id, error: String(error) }, 'a journal cannot be used');
          bus.alert(id, 'journal', { ts: clock.now(), severity: 'critical', message: String(error) });
        }
      }
    },
    list: (limit: number): SagaState[] =>
      [...states.values()].sort((a, b) => b.started - a.started).slice(0, Math.min(limit, KEPT)),
    show(id: string) {
      const saga = states.get(id);
      if (!saga) throw new VsError('not-found', `there is no saga ${id}; see: vs saga list`);
      return { saga, journal: journals.read(id) };
    },
    async abort(id: string, issuer: string): Promise<SagaState> {
      this.show(id);
      const one = running.get(id);
      if (!one) throw new VsError('refused', `saga ${id} has ended`);
      if (replay(journals.read(id)).pnr)
        throw new VsError('refused', `saga ${id} is past its point of no return; it goes on to its end`);
      journals.append(id, { kind: 'abort', message: `aborted by ${issuer}` });
      one.saga.abortReason = `aborted by ${issuer}`;
      one.saga.abort.abort();
      return one.ended;
    },
    async again(id: string): Promise<SagaState> {
      if (this.show(id).saga.result !== 'stuck') throw new VsError('refused', `saga ${id} is not stuck`);
      const { saga } = load(id);
      saga.state.result = 'running';
      delete saga.state.error;
      delete saga.state.ended;
      return run(saga);
    },
  };
}
