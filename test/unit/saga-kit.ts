import { type ExecutorParts } from '../../services/orchestrator/executor.ts';
import type { Journals } from '../../services/orchestrator/journal.ts';
import { systemClock } from '../../shared/clock.ts';

/** What a saga runs with in a test: it tells nobody, and tries again at once. */
export const quietly = (journals: Journals): ExecutorParts => ({
  journals,
  publish: () => undefined,
  progress: () => undefined,
  retry: { times: 2, waitMs: 0 },
  log: () => undefined,
  clock: systemClock,
});

/** A journal that dies with (or just after) its line number `last`. */
export const dying = (journals: Journals, last: number, written: boolean): Journals => {
  let count = 0;
  return {
    ...journals,
    append(id, line) {
      count++;
      if (count < last || (count === last && written)) journals.append(id, line);
      if (count >= last) throw new Error('power cut');
    },
  };
};
