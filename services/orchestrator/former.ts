import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';
import type { MortalAgents } from './agent.ts';
import type { Plan } from './build.ts';
import type { Carrier } from './carry.ts';
import type { openDamaged } from './damaged.ts';
import type { Saga } from './executor.ts';
import type { Holds } from './holds.ts';
import type { Journals } from './journal.ts';
import { recall } from './replay.ts';

interface Found {
  saga: Saga;
  /** It has begun to act. */
  atWork: boolean;
}

/** What former lives of the orchestrator left in its journals, and how it goes on. */
export function openFormer(parts: {
  bus: Context['bus'];
  log: Context['log'];
  journals: Journals;
  agents: Pick<MortalAgents, 'giveUp'>;
  states: Map<string, SagaState>;
  holds: Holds;
  damaged: ReturnType<typeof openDamaged>;
  carrier: Carrier;
  publish(state: SagaState): void;
  build(plan: Plan, state: SagaState): Saga;
}) {
  const { bus, log, journals, agents, states, holds, damaged, carrier, publish, build } = parts;
  /** An unfinished saga from its journal; undefined: it has ended, or nothing was done. Throws VsError. */
  function load(id: string): Found | undefined {
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
    const saga = build(found.plan, found.state);
    if (back) Object.assign(saga, { back: back.epoch, abortReason: back.message });
    return { saga, atWork: found.atWork };
  }
  /** Takes over what a former life left of a saga; answers it when it shall go on. */
  function takeOver(id: string): Found | undefined {
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
  function goOn({ saga, atWork }: Found): void {
    const { id } = saga.state;
    log.warn({ saga: id }, 'going on with a saga of a former life');
    carrier.note(id, { kind: 'resumed', message: 'the orchestrator was restarted' });
    void carrier.run(saga, atWork).catch(() => undefined);
  }
  return {
    load,
    /** Goes on with every saga that has no end yet. */
    resume(): void {
      const unfinished = journals.ids().flatMap((id) => takeOver(id) ?? []);
      // all are known, and have their names, before the first of them acts: a parent joins its children
      unfinished.sort((a, b) => a.saga.state.started - b.saga.state.started);
      for (const one of unfinished.filter(({ atWork }) => atWork)) goOn(one);
      for (const one of unfinished.filter(({ atWork }) => !atWork)) goOn(one);
    },
    /** A damaged journal that was mended goes on without a restart. */
    lookAgain(): void {
      for (const id of damaged.lookAgain(usable)) {
        const found = takeOver(id);
        if (found) goOn(found);
      }
    },
  };
}
export type Former = ReturnType<typeof openFormer>;
