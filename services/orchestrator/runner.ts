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
import { type Children, childId } from './children.ts';
import { type Saga, execute } from './executor.ts';
import { openDamaged } from './damaged.ts';
import { keepFinished } from './finished.ts';
import type { Stranded } from './finish.ts';
import type { Homeless } from './turn-back.ts';
import { openHolds } from './holds.ts';
import { type Entry, openJournals } from './journal.ts';
import { openMarks } from './marks.ts';
import type { Planned } from './plans/planned.ts';
import type { Pool } from './pool.ts';
import type { Removed } from './removed.ts';
import { recall, replay } from './replay.ts';
import { openTelling } from './telling.ts';
import { type Running, openTurns } from './turns.ts';

function notWritten(error: unknown, so: string): VsError {
  const why = error instanceof Error ? error.message : String(error);
  return new VsError('failed', `the journal of the saga cannot be written (${why}); ${so}`, { cause: error });
}
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
  /** In the order in which they began. */
  const running = new Map<string, Running>();
  const states = new Map<string, SagaState>();
  const { publish, blocked, watchers } = openTelling({ bus, log, clock, settings, states });
  const holds = openHolds(states);
  const finished = keepFinished({ bus, settings, log, clock, journals, archive, states });
  const damaged = openDamaged({ bus, log, clock, journals, states, holds, publish });
  const turns = openTurns(settings.SAGAS_PER_HOST, {
    running,
    publish,
    note: (id, message) => note(id, { kind: 'waits', message }),
  });

  /** A line that only tells people: nothing hangs on it. */
  function note(id: string, line: Entry): void {
    try {
      journals.append(id, line);
    } catch (error) {
      log.warn({ saga: id, error: String(error) }, 'a note for the journal was lost');
    }
  }
  function run(saga: Saga, atOnce: boolean): Promise<SagaState> {
    const { state } = saga;
    holds.take(state, state.id);
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
        watchers.delete(state.id);
        if (state.result !== 'stuck') holds.free(state.id);
        bus.event('orchestrator', state.result, state.message ?? state.title, {
          saga: state.id,
          vserver: state.vserver,
        });
        turns.advance();
        finished.tidy();
      });
    return one.ended;
  }
  async function carry(one: Running, atOnce: boolean): Promise<SagaState> {
    if (!atOnce) await turns.wait(one);
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
  /** An unfinished saga from its journal; undefined: it has ended, or nothing was done. Throws VsError. */
  function load(id: string): { saga: Saga; atWork: boolean } | undefined {
    const lines = journals.read(id);
    if (lines.length === 0) {
      journals.remove([id]); // a power cut before its first line
      return undefined;
    }
    const found = recall(id, lines);
    if (found.finished) {
      states.set(id, found.state);
      return undefined;
    }
    const { dead, back } = found.past;
    for (const host of dead) agents.giveUp(id, host);
    const saga = buildSaga(found.plan, found.state, agents, children);
    if (back) Object.assign(saga, { back: back.epoch, abortReason: back.message });
    return { saga, atWork: found.atWork };
  }
  /** Takes over what a former life left of a saga; answers it when it shall go on. */
  function takeOver(id: string): ReturnType<typeof load> {
    try {
      const found = load(id);
      const state = found?.saga.state ?? states.get(id);
      if (state && !found) bus.retain(bus.topics.sagaState(id), state);
      if (!state || !found) return undefined;
      states.set(id, state);
      if (state.result !== 'stuck') return found;
      holds.take(state, id);
      publish(state);
      return undefined;
    } catch (error) {
      damaged.add(id, error);
      return undefined;
    }
  }
  function usable(id: string): boolean {
    try {
      load(id);
      return true;
    } catch {
      return false;
    }
  }
  /** A damaged journal that was mended goes on without a restart. */
  function lookAgain(): void {
    for (const id of damaged.lookAgain(usable)) {
      const found = takeOver(id);
      if (found) goOn(found);
    }
  }
  const children: Children = {
    deciding: { context, pool, epochs, marks, past: () => finished.list({ limit: 200 }) },
    clock,
    async run(parent, child) {
      const id = childId(parent.id, child);
      const go = () => {
        if (parent.signal.aborted) throw new VsError('failed', 'the saga was aborted');
      };
      if (child.watch) watchers.set(id, child.watch);
      const join = () => running.get(id)?.ended ?? states.get(id) ?? archive.state(id);
      if (join()) return (await join()) as SagaState;
      go();
      const planned = await child.plan();
      go();
      const issuer = states.get(parent.id)?.issuer ?? 'unknown';
      return begin(planned, child.args, issuer, false, { id, parent: parent.id }).ended;
    },
  };

  /** Journals a saga and lets it run; with an id of its own it belongs to a step of its parent. Throws VsError. */
  function begin(
    planned: Planned,
    args: Record<string, unknown>,
    issuer: string,
    dryRun: boolean,
    child?: { id: string; parent: string },
  ): Begun {
    lookAgain();
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
    const saga = buildSaga({ kind, plan } as Plan, state, agents, children);
    if (dryRun) return { state, ended: Promise.resolve(state) };
    try {
      journals.append(id, { kind: 'begin', plan: { kind, plan }, state });
    } catch (error) {
      throw notWritten(error, 'nothing was changed');
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
      const unfinished = journals.ids().flatMap((id) => takeOver(id) ?? []);
      // all are known, and have their names, before the first of them acts: a parent joins its children
      unfinished.sort((a, b) => a.saga.state.started - b.saga.state.started);
      for (const one of unfinished.filter(({ atWork }) => atWork)) goOn(one);
      for (const one of unfinished.filter(({ atWork }) => !atWork)) goOn(one);
      void finished.settle();
    },
    list(which: { limit: number; vserver?: string; running?: boolean }) {
      lookAgain();
      return finished.list(which);
    },
    /** What holds up the begin of any saga, for people. */
    damaged: damaged.list,
    close: archive.close,
    /** Is there such a saga, running or not? */
    knows: (id: string): boolean => states.has(id) || damaged.has(id) || archive.has(id),
    show(id: string) {
      lookAgain();
      const saga = states.get(id);
      if (damaged.has(id) && saga) return { saga, journal: [] };
      if (saga) return { saga, journal: journals.read(id) };
      const old = archive.get(id);
      if (old) return { saga: old.state, journal: old.journal };
      throw new VsError('not-found', damaged.get(id)?.message ?? `there is no saga ${id}; see: vs saga list`);
    },
    async abort(id: string, issuer: string): Promise<SagaState> {
      this.show(id);
      const one = running.get(id);
      if (!one) throw new VsError('refused', `saga ${id} has ended`);
      if (one.saga.past || replay(journals.read(id)).pnr)
        throw new VsError('refused', `saga ${id} is past its point of no return; it goes on to its end`);
      try {
        journals.append(id, { kind: 'abort', message: `aborted by ${issuer}` });
      } catch (error) {
        throw notWritten(error, 'it is not aborted');
      }
      one.saga.abortReason = `aborted by ${issuer}`;
      one.saga.abort.abort();
      one.go?.();
      return one.ended;
    },
    /** A move past its point of no return whose source is that host. */
    stranded(id: string, host: string): Stranded | undefined {
      const { saga, journal } = this.show(id);
      if (!running.get(id)?.saga.past && !replay(journal).pnr) return undefined;
      const found = recall(id, journal);
      if (found.finished || found.plan.kind !== 'move') return undefined;
      const { source, target } = found.plan.plan;
      return source === host ? { move: saga, target } : undefined;
    },
    /**
     * Ends a saga that waits for a host which a person says is dead: what is to be undone on other hosts is undone. Past the
     * point of no return a move goes on without its source; all else is refused.
     */
    async forsake(id: string, host: string, issuer: string): Promise<SagaState> {
      const { saga, journal } = this.show(id);
      if (this.stranded(id, host)) {
        note(id, {
          kind: 'waits',
          message: `${issuer} says that ${host} is dead: it is not asked any more`,
          dead: host,
        });
        agents.giveUp(id, host);
        return saga.result === 'stuck' ? this.again(id, issuer) : (running.get(id)?.ended ?? saga);
      }
      if (running.get(id)?.saga.past || replay(journal).pnr)
        throw new VsError(
          'conflict',
          `${saga.kind} ${id} has ${saga.vserver}, and is past its point of no return; see it with: vs saga show ${id}`,
        );
      agents.giveUp(id, host);
      return saga.result === 'stuck' ? this.again(id, issuer) : this.abort(id, issuer);
    },
    /** A move of that vserver past its point of no return whose target is away, and whose source has all of it still. */
    homeless(name: string): Homeless | undefined {
      for (const move of states.values()) {
        if (move.vserver !== name || move.kind !== 'move' || !['running', 'stuck'].includes(move.result))
          continue;
        if (damaged.has(move.id)) continue;
        const found = recall(move.id, journals.read(move.id));
        if (found.finished || found.plan.kind !== 'move') continue;
        const { pnr, started } = found.past;
        const { source, target, epoch } = found.plan.plan;
        if (pnr && !started.has('clean up') && !pool.isOnline(target))
          return { move, source, target, epoch: epoch + 1 };
      }
      return undefined;
    },
    /** Undoes such a move all the same, for a person says that its target is dead: its source takes it back with this epoch. */
    async turnBack({ move, target }: Homeless, epoch: number, issuer: string): Promise<SagaState> {
      const { id, vserver } = move;
      if (this.homeless(vserver)?.move.id !== id)
        throw new VsError(
          'conflict',
          `the move ${id} has gone on meanwhile; see it with: vs saga show ${id}`,
        );
      const message = `${issuer} says that ${target} is dead`;
      try {
        journals.append(id, { kind: 'return', message, epoch, dead: target });
      } catch (error) {
        throw notWritten(error, 'nothing was changed');
      }
      const one = running.get(id);
      if (!one) return this.again(id, issuer);
      Object.assign(one.saga, { back: epoch, abortReason: message });
      agents.giveUp(id, target);
      one.saga.abort.abort();
      one.go?.();
      return one.ended;
    },
    async again(id: string, issuer = 'unknown'): Promise<SagaState> {
      if (this.show(id).saga.result !== 'stuck') throw new VsError('refused', `saga ${id} is not stuck`);
      const found = damaged.has(id) ? undefined : load(id);
      if (!found) throw new VsError('refused', damaged.get(id)?.message ?? `saga ${id} has ended`);
      const { saga } = found;
      note(id, { kind: 'resumed', message: `by ${issuer}` });
      saga.state.result = 'running';
      delete saga.state.error;
      delete saga.state.ended;
      return run(saga, true);
    },
  };
  function goOn({ saga, atWork }: NonNullable<ReturnType<typeof load>>): void {
    const { id } = saga.state;
    log.warn({ saga: id }, 'going on with a saga of a former life');
    note(id, { kind: 'resumed', message: 'the orchestrator was restarted' });
    void run(saga, atWork).catch(() => undefined);
  }
}
