import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';

/** What is told of sagas while they run: their states as retained topics, to their parents, and alerts. */
export function openTelling({
  bus,
  log,
  clock,
  settings,
  states,
}: Pick<Context, 'bus' | 'log' | 'settings'> & { clock: Clock; states: Map<string, SagaState> }) {
  /** The parents of sagas, which show them as their own rows. */
  const watchers = new Map<string, (state: SagaState) => void>();
  function publish(state: SagaState): void {
    states.set(state.id, state);
    bus.retain(bus.topics.sagaState(state.id), state);
    watchers.get(state.id)?.(state);
    if (state.result === 'stuck')
      bus.alert(state.vserver, 'saga', {
        ts: clock.now(),
        severity: 'critical',
        message: state.message ?? 'stuck',
        saga: state.id,
      });
    else if (state.result !== 'running') bus.alert(state.vserver, 'saga', null);
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
  return { publish, blocked, watchers };
}
