import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import type { Holds } from './holds.ts';
import type { Journals } from './journal.ts';

/** As much of a beginning as names what its saga holds. */
const holder = z.looseObject({
  state: z.looseObject({
    vserver: z.string(),
    host: z.string().optional(),
    also: z.array(z.string()).optional(),
  }),
});
interface Damaged {
  message: string;
  /** It is known which names its saga holds. */
  known: boolean;
}

/**
 * The journals that cannot be read. Nobody knows what such a one said last, so its vserver is left alone, as that of a
 * stuck saga. Where not even its vserver is known no saga begins at all; those that run go on, since none of them is it.
 */
export function openDamaged(parts: {
  bus: Context['bus'];
  log: Context['log'];
  clock: Clock;
  journals: Journals;
  states: Map<string, SagaState>;
  holds: Holds;
  publish(state: SagaState): void;
}) {
  const { bus, log, clock, journals, states, holds, publish } = parts;
  const all = new Map<string, Damaged>();
  const tell = () => {
    const worst = [...all.values()].find(({ known }) => !known);
    bus.alert(
      'orchestrator',
      'journal',
      worst ? { ts: clock.now(), severity: 'critical', message: worst.message } : null,
    );
  };
  return {
    has: (id: string): boolean => all.has(id),
    get: (id: string): Damaged | undefined => all.get(id),
    list: () => [...all].map(([id, one]) => ({ id, ...one })),
    /** What is known of its saga stands in `details.first` of the error. */
    add(id: string, error: unknown): void {
      const message = error instanceof Error ? error.message : String(error);
      log.error({ saga: id, err: error }, 'a journal cannot be used');
      const first = error instanceof VsError ? holder.safeParse(error.details?.['first']) : undefined;
      all.set(id, { message, known: first?.success === true });
      if (!first?.success) return tell();
      const { state } = first.data;
      holds.take(state, id);
      // of a newer version it may be a kind that is not known here
      publish({ ...state, id, result: 'stuck', message } as unknown as SagaState);
    },
    /** Looks again: one that was moved away holds nothing any more, and the ids of those that can be used now are answered. */
    lookAgain(usable: (id: string) => boolean): string[] {
      const mended: string[] = [];
      for (const id of all.keys()) {
        const there = journals.has(id);
        if (there && !usable(id)) continue;
        all.delete(id);
        holds.free(id);
        const state = states.get(id);
        states.delete(id);
        if (state) bus.alert(state.vserver, 'saga', null);
        if (there) mended.push(id);
        else bus.retain(bus.topics.sagaState(id), null);
        tell();
      }
      return mended;
    },
    /** Throws VsError 'refused' while it is not known what one of them holds. */
    refuse(): void {
      const unknown = [...all.values()].find(({ known }) => !known);
      if (unknown)
        throw new VsError(
          'refused',
          `no saga begins as long as nobody knows whose this was: ${unknown.message}`,
        );
    },
  };
}
