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
import { type Children, childId } from './children.ts';
import { type Saga, execute } from './executor.ts';
import { type Entry, openJournals } from './journal.ts';
import type { Planned } from './plans/planned.ts';
import type { Pool } from './pool.ts';
import { places } from './queue.ts';
import { replay } from './replay.ts';

const KEPT = 200;
/** The names that nobody else may have while it runs: of vservers, or of a host. */
const holds = (of: { vserver: string; host?: string | undefined; also?: string[] | undefined }): string[] => [
  ...new Set([of.host === undefined ? of.vserver : `host ${of.host}`, ...(of.also ?? [])]),
];
const begun = z.looseObject({ plan: z.custom<Plan>(), state: sagaState });
interface Begun {
  /** At its beginning. */
  state: SagaState;
  ended: Promise<SagaState>;
}
interface Running {
  saga: Saga;
  ended: Promise<SagaState>;
  /** Waits for its places; called when it has them, or was aborted. */
  go?: (() => void) | undefined;
}

/** Runs sagas: one on a vserver at a time, several side by side; goes on with what a former life left. */
export function sagaRunner(
  context: Pick<Context, 'bus' | 'settings' | 'log'>,
  pool: Pool,
  {
    clock = systemClock,
    journals = openJournals(`${context.settings.STATE_DIR}/sagas`),
    newId = (kind: string) => `${kind}-${clock.now().toString(36)}${randomBytes(2).toString('hex')}`,
  } = {},
) {
  const { bus, log, settings } = context;
  const agents = agentsOf(bus, pool, clock, () => sealKey(copySettings(context.settings)));
  /** In the order in which they began. */
  const running = new Map<string, Running>();
  const states = new Map<string, SagaState>();
  /** Name -> the saga that has it. */
  const held = new Map<string, string>();

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
  /** Lets those begin that have their places, and shows the others what they wait for. */
  function advance(): void {
    const wants = (one: Running) => ({ id: one.saga.state.id, hosts: one.saga.places });
    const all = [...running.values()];
    const { free, waits } = places(
      all.filter((one) => !one.go).map(wants),
      all.filter((one) => one.go).map(wants),
      settings.SAGAS_PER_HOST,
    );
    for (const id of free) running.get(id)?.go?.();
    for (const [id, why] of waits) {
      const state = running.get(id)?.saga.state;
      if (!state || state.waits === why) continue;
      const first = state.waits === undefined;
      state.waits = why;
      publish(state);
      if (first) note(id, { kind: 'waits', message: why });
    }
  }
  /** A line that only tells people: nothing hangs on it. */
  function note(id: string, line: Entry): void {
    try {
      journals.append(id, line);
    } catch (error) {
      log.warn({ saga: id, error: String(error) }, 'a note for the journal was lost');
    }
  }
  /** Its turn has come; at once when it was at work before. */
  async function turn(one: Running): Promise<void> {
    await new Promise<void>((resolve) => {
      one.go = () => {
        one.go = undefined;
        delete one.saga.state.waits;
        resolve();
      };
      advance();
    });
  }
  function blocked(state: SagaState, reason: string | undefined): void {
    const message = `the journal of saga ${state.id} cannot be written (${reason}): it waits; free space in ${settings.STATE_DIR} on the master, then it goes on by itself`;
    if (reason === undefined) delete state.waits;
    else state.waits = `waits: ${message}`;
    log.error({ saga: state.id }, reason === undefined ? 'the journal can be written again' : message);
    publish(state);
    const alert = { ts: clock.now(), severity: 'critical' as const, message, saga: state.id };
    bus.alert(state.vserver, 'journal', reason === undefined ? null : alert);
  }
  function run(saga: Saga, atOnce: boolean): Promise<SagaState> {
    const { state } = saga;
    for (const name of holds(state)) held.set(name, state.id);
    const one: Running = { saga, ended: Promise.resolve(state) };
    running.set(state.id, one);
    one.ended = carry(one, atOnce)
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
        advance();
      });
    return one.ended;
  }
  async function carry(one: Running, atOnce: boolean): Promise<SagaState> {
    if (!atOnce) await turn(one);
    return execute(one.saga, {
      journals,
      publish,
      progress: (id, data) => {
        if (bus.connected)
          bus.publish(bus.topics.sagaProgress(id), { id, ...data }, { qos: 0 }).catch(() => undefined);
      },
      retry: { times: 60, waitMs: 2000 },
      blocked: (_id, reason) => blocked(one.saga.state, reason),
      log: (message, facts) => log.warn(facts, message),
      clock,
    });
  }
  function load(id: string): { saga: Saga; ended: boolean; atWork: boolean } {
    const lines = journals.read(id);
    const first = begun.safeParse(lines[0]);
    if (!first.success)
      throw new VsError('failed', `the journal of saga ${id} has no beginning that this version knows`);
    const past = replay(lines);
    const last = past.ended?.['state'] as SagaState | undefined;
    return {
      saga: buildSaga(first.data.plan, last ?? first.data.state, agents, children),
      ended: last !== undefined && last.result !== 'running',
      atWork: past.started.size > 0 || past.failure !== undefined,
    };
  }
  const children: Children = {
    async run(parent, child) {
      const id = childId(parent.id, child);
      const go = () => {
        if (parent.signal.aborted) throw new VsError('failed', 'the saga was aborted');
      };
      const join = () => running.get(id)?.ended ?? states.get(id);
      if (join()) return (await join()) as SagaState;
      go();
      const planned = await child.plan();
      go();
      const issuer = states.get(parent.id)?.issuer ?? 'unknown';
      return begin(planned, child.args, issuer, false, { id, parent: parent.id }).ended;
    },
  };

  function refuseTaken(planned: Planned, args: Record<string, unknown>): void {
    const taken = holds(planned).find((name) => held.has(name) && held.get(name) !== planned.over);
    if (taken !== undefined) {
      const other = states.get(held.get(taken) ?? '');
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
  }
  /** Journals a saga and lets it run; with an id of its own it belongs to a step of its parent. Throws VsError. */
  function begin(
    planned: Planned,
    args: Record<string, unknown>,
    issuer: string,
    dryRun: boolean,
    child?: { id: string; parent: string },
  ): Begun {
    refuseTaken(planned, args);
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
    const saga = buildSaga({ kind, plan } as Plan, state, agents, children);
    if (dryRun) return { state, ended: Promise.resolve(state) };
    try {
      journals.append(id, { kind: 'begin', plan: { kind, plan }, state });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new VsError('failed', `the journal of the saga cannot be written (${why}); nothing was changed`, {
        cause: error,
      });
    }
    publish(state);
    const ended = run(saga, false);
    return { state: structuredClone(state), ended };
  }

  return {
    /** For steps that begin sagas. */
    children,
    /** The saga's state at its beginning; `ended` is its end. */
    begin: (planned: Planned, args: Record<string, unknown>, issuer: string, dryRun: boolean): Begun =>
      begin(planned, args, issuer, dryRun),
    /** Goes on with every saga that has no end yet. */
    resume(): void {
      const unfinished: ReturnType<typeof load>[] = [];
      for (const id of journals.ids()) {
        try {
          if (journals.read(id).length === 0) continue; // a power cut before its first line: nothing was done
          const found = load(id);
          const { state } = found.saga;
          states.set(id, state);
          if (state.result === 'stuck') for (const name of holds(state)) held.set(name, id);
          if (state.result === 'stuck') publish(state);
          else if (found.ended) bus.retain(bus.topics.sagaState(id), state);
          else unfinished.push(found);
        } catch (error) {
          log.error({ saga: id, error: String(error) }, 'a journal cannot be used');
          bus.alert(id, 'journal', { ts: clock.now(), severity: 'critical', message: String(error) });
        }
      }
      // all are known, and have their names, before the first of them acts: a parent joins its children
      unfinished.sort((a, b) => a.saga.state.started - b.saga.state.started);
      for (const one of unfinished.filter(({ atWork }) => atWork)) goOn(one);
      for (const one of unfinished.filter(({ atWork }) => !atWork)) goOn(one);
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
      if (one.saga.past || replay(journals.read(id)).pnr)
        throw new VsError('refused', `saga ${id} is past its point of no return; it goes on to its end`);
      journals.append(id, { kind: 'abort', message: `aborted by ${issuer}` });
      one.saga.abortReason = `aborted by ${issuer}`;
      one.saga.abort.abort();
      one.go?.();
      return one.ended;
    },
    /**
     * Ends a saga that waits for a host which a person says is dead: what is to be undone on other hosts is undone. Past the
     * point of no return it is refused.
     */
    async forsake(id: string, host: string, issuer: string): Promise<SagaState> {
      const { saga, journal } = this.show(id);
      if (running.get(id)?.saga.past || replay(journal).pnr)
        throw new VsError(
          'conflict',
          `${saga.kind} ${id} has ${saga.vserver}, and is past its point of no return; see it with: vs saga show ${id}`,
        );
      agents.giveUp(id, host);
      return saga.result === 'stuck' ? this.again(id, issuer) : this.abort(id, issuer);
    },
    async again(id: string, issuer = 'unknown'): Promise<SagaState> {
      if (this.show(id).saga.result !== 'stuck') throw new VsError('refused', `saga ${id} is not stuck`);
      const { saga } = load(id);
      note(id, { kind: 'resumed', message: `by ${issuer}` });
      saga.state.result = 'running';
      delete saga.state.error;
      delete saga.state.ended;
      return run(saga, true);
    },
  };
  function goOn({ saga, atWork }: ReturnType<typeof load>): void {
    const { id } = saga.state;
    log.warn({ saga: id }, 'going on with a saga of a former life');
    note(id, { kind: 'resumed', message: 'the orchestrator was restarted' });
    void run(saga, atWork).catch(() => undefined);
  }
}
