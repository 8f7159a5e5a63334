import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';
import { type Saga, execute } from './executor.ts';
import type { Holds } from './holds.ts';
import type { Entry, Journals } from './journal.ts';
import type { openTelling } from './telling.ts';
import { type Running, openTurns } from './turns.ts';

/** Carries sagas to their ends, side by side; while one runs, and while it is stuck, it holds its names. */
export function openCarrier(parts: {
  bus: Context['bus'];
  settings: Context['settings'];
  log: Context['log'];
  clock: Clock;
  journals: Journals;
  holds: Holds;
  telling: ReturnType<typeof openTelling>;
  /** After each end: what finished sagas take is bounded. */
  tidy(): unknown;
}) {
  const { bus, settings, log, clock, journals, holds, telling, tidy } = parts;
  const { publish, blocked, watchers } = telling;
  /** In the order in which they began. */
  const running = new Map<string, Running>();
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
  return {
    running,
    note,
    /** Resolves at its end. `atOnce`: it acts already, and does not wait for its turn. */
    run(saga: Saga, atOnce: boolean): Promise<SagaState> {
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
          tidy();
        });
      return one.ended;
    },
  };
}
export type Carrier = ReturnType<typeof openCarrier>;
