import type { SagaState } from '../../shared/contract/saga.ts';
import type { Saga } from './executor.ts';
import { places } from './queue.ts';

export interface Running {
  saga: Saga;
  ended: Promise<SagaState>;
  /** Waits for its places; called when it has them, or was aborted. */
  go?: (() => void) | undefined;
}

/** Lets sagas act side by side, so many on each host, and shows the others what they wait for. */
export function openTurns(
  most: number,
  parts: {
    /** In the order in which they began. */
    running: Map<string, Running>;
    publish(state: SagaState): void;
    /** For the journal, at the first time. */
    note(id: string, message: string): void;
  },
) {
  const { running, publish, note } = parts;
  /** Lets those begin that have their places now. */
  function advance(): void {
    const wants = (one: Running) => ({
      id: one.saga.state.id,
      hosts: one.saga.places,
      alone: one.saga.alone === true,
    });
    const all = [...running.values()];
    const { free, waits } = places(
      all.filter((one) => !one.go).map(wants),
      all.filter((one) => one.go).map(wants),
      most,
    );
    for (const id of free) running.get(id)?.go?.();
    for (const [id, why] of waits) {
      const state = running.get(id)?.saga.state;
      if (!state || state.waits === why) continue;
      if (state.waits === undefined) note(id, why);
      state.waits = why;
      publish(state);
    }
  }
  return {
    advance,
    /** Resolves when its turn has come, or when it is aborted. */
    wait: (one: Running): Promise<void> =>
      new Promise((resolve) => {
        one.go = () => {
          one.go = undefined;
          delete one.saga.state.waits;
          resolve();
        };
        advance();
      }),
  };
}
