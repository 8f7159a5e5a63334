import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';
import type { Archive } from './archive.ts';
import type { Journals } from './journal.ts';
import { isFinished } from './replay.ts';

/** So many finished sagas keep their journal as a plain file; with a few more the rest is archived at once. */
const PLAIN = 50;
const BATCH = 20;
/** A reply stays below what a broker takes (bytes). */
const REPLY = 700_000;
/** So many topics are said at once at the start. */
const CHUNK = 100;

interface Parts {
  bus: Context['bus'];
  settings: Context['settings'];
  log: Context['log'];
  clock: Clock;
  journals: Journals;
  archive: Archive;
  /** Those that are not archived. */
  states: Map<string, SagaState>;
}

/** Bounds what finished sagas take: they go to the archive, the oldest leave it, and their topics are cleared. */
export function keepFinished({ bus, settings, log, clock, journals, archive, states }: Parts) {
  const newest = (some: SagaState[]) => some.sort((a, b) => b.started - a.started);
  return {
    /** Archives, then prunes; a crash in between leaves a saga in both places, which is archived again. */
    tidy(): void {
      const ended = newest([...states.values()].filter(isFinished));
      const late = ended.length > PLAIN + BATCH ? ended.slice(PLAIN) : [];
      try {
        if (late.length > 0) archive.add(late.map((state) => ({ state, journal: journals.read(state.id) })));
        journals.remove(late.map(({ id }) => id));
        for (const { id } of late) states.delete(id);
      } catch (error) {
        log.warn(
          { error: String(error) },
          'finished sagas were not archived; it is tried again after the next',
        );
      }
      const gone = archive.prune(settings.SAGAS_KEPT, settings.SAGAS_KEPT_DAYS, clock.now());
      for (const id of gone) if (!states.has(id)) bus.retain(bus.topics.sagaState(id), null);
    },
    /** Says the topics of the archived ones, some at a time: nobody waits for them. */
    async say(): Promise<void> {
      const all = archive.list(settings.SAGAS_KEPT);
      for (let from = 0; from < all.length; from += CHUNK) {
        for (const state of all.slice(from, from + CHUNK))
          if (!states.has(state.id)) bus.retain(bus.topics.sagaState(state.id), state);
        await clock.sleep(50);
      }
    },
    /** The newest first: of one vserver, or those only that have not ended. */
    list({ limit, vserver, running }: { limit: number; vserver?: string; running?: boolean }): SagaState[] {
      const mine = (one: SagaState) =>
        (vserver === undefined || one.vserver === vserver || one.also?.includes(vserver)) &&
        !(running && isFinished(one));
      const archived = running ? [] : archive.list(limit, vserver).filter(({ id }) => !states.has(id));
      let room = REPLY;
      return newest([...[...states.values()].filter(mine), ...archived])
        .slice(0, limit)
        .filter((state) => (room -= JSON.stringify(state).length) > 0);
    },
  };
}
