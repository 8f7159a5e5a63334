import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { MortalAgents } from './agent.ts';
import type { Carrier } from './carry.ts';
import type { openDamaged } from './damaged.ts';
import type { Stranded } from './finish.ts';
import type { Former } from './former.ts';
import { type Journals, type Line, notWritten } from './journal.ts';
import { recall, replay } from './replay.ts';
import type { Homeless } from './turn-back.ts';

/** What people may do about a saga that runs or is stuck. */
export function openInterventions(parts: {
  journals: Journals;
  agents: MortalAgents;
  damaged: ReturnType<typeof openDamaged>;
  carrier: Carrier;
  former: Former;
  states: Map<string, SagaState>;
  isOnline(host: string): boolean;
  /** Throws VsError when there is none. */
  show(id: string): { saga: SagaState; journal: Line[] };
}) {
  const { journals, agents, damaged, former, states, isOnline, show } = parts;
  const { running, note, run } = parts.carrier;
  const isPast = (id: string, journal: Line[]): boolean =>
    running.get(id)?.saga.past === true || replay(journal).pnr;

  /** `dead`: a host that is not asked any more, for a person says that it is dead. */
  async function abort(id: string, issuer: string, dead?: string): Promise<SagaState> {
    show(id);
    const one = running.get(id);
    const journal = journals.read(id);
    // its end is written before it leaves the row
    if (!one || replay(journal).ended) throw new VsError('refused', `saga ${id} has ended`);
    if (isPast(id, journal))
      throw new VsError('refused', `saga ${id} is past its point of no return; it goes on to its end`);
    try {
      journals.append(id, { kind: 'abort', message: `aborted by ${issuer}`, ...(dead ? { dead } : {}) });
    } catch (error) {
      throw notWritten(error, 'it is not aborted');
    }
    if (dead) agents.giveUp(id, dead);
    one.saga.abortReason = `aborted by ${issuer}`;
    one.saga.abort.abort();
    one.go?.();
    return one.ended;
  }
  /** A stuck one tries again. */
  async function again(id: string, issuer = 'unknown'): Promise<SagaState> {
    if (show(id).saga.result !== 'stuck') throw new VsError('refused', `saga ${id} is not stuck`);
    const found = damaged.has(id) ? undefined : former.load(id);
    if (!found) throw new VsError('refused', damaged.get(id)?.message ?? `saga ${id} has ended`);
    const { saga } = found;
    note(id, { kind: 'resumed', message: `by ${issuer}` });
    saga.state.result = 'running';
    delete saga.state.error;
    delete saga.state.ended;
    return run(saga, true);
  }
  /** A move past its point of no return whose source is that host. */
  function stranded(id: string, host: string): Stranded | undefined {
    const { saga, journal } = show(id);
    if (!isPast(id, journal)) return undefined;
    const found = recall(id, journal);
    if (found.finished || found.plan.kind !== 'move') return undefined;
    const { source, target } = found.plan.plan;
    return source === host ? { move: saga, target } : undefined;
  }
  /** A move of that vserver past its point of no return whose target is away, and whose source is there and has all of it still. */
  function homeless(name: string): Homeless | undefined {
    for (const move of states.values()) {
      if (move.vserver !== name || move.kind !== 'move' || !['running', 'stuck'].includes(move.result))
        continue;
      if (damaged.has(move.id)) continue;
      const found = recall(move.id, journals.read(move.id));
      if (found.finished || found.plan.kind !== 'move') continue;
      const { pnr, back, started } = found.past;
      const { source, target, epoch } = found.plan.plan;
      if (back) return { move, source, target, epoch: epoch + 1, turned: true };
      if (pnr && !started.has('clean up') && isOnline(source) && !isOnline(target))
        return { move, source, target, epoch: epoch + 1, turned: false };
    }
    return undefined;
  }
  /** Undoes such a move all the same, for a person says that its target is dead: its source takes it back with this epoch. */
  async function turnBack({ move, target }: Homeless, epoch: number, issuer: string): Promise<SagaState> {
    const { id, vserver } = move;
    const now = homeless(vserver);
    if (now?.move.id !== id || now.turned)
      throw new VsError('conflict', `the move ${id} has gone on meanwhile; see it with: vs saga show ${id}`);
    const message = `${issuer} says that ${target} is dead`;
    try {
      journals.append(id, { kind: 'return', message, epoch, dead: target });
    } catch (error) {
      throw notWritten(error, 'nothing was changed');
    }
    const one = running.get(id);
    if (!one) return again(id, issuer);
    Object.assign(one.saga, { back: epoch, abortReason: message });
    agents.giveUp(id, target);
    one.saga.abort.abort();
    one.go?.();
    return one.ended;
  }
  /** A move that only clears away, at that host too, which has the vserver and is dead. */
  function clearsAway(journal: Line[], id: string, host: string): boolean {
    const found = recall(id, journal);
    if (found.finished || found.plan.kind !== 'move') return false;
    return found.past.started.has('clean up') && found.plan.plan.target === host;
  }
  /**
   * Ends a saga that waits for a host which a person says is dead: what is to be undone on other hosts is undone. Past the
   * point of no return a move goes on without its source, or clears away without its target; all else is refused.
   */
  async function forsake(id: string, host: string, issuer: string): Promise<SagaState> {
    const { saga, journal } = show(id);
    if (stranded(id, host) || clearsAway(journal, id, host)) {
      const message = `${issuer} says that ${host} is dead: it is not asked any more`;
      note(id, { kind: 'waits', message, dead: host });
      agents.giveUp(id, host);
      return saga.result === 'stuck' ? again(id, issuer) : (running.get(id)?.ended ?? saga);
    }
    if (isPast(id, journal))
      throw new VsError(
        'conflict',
        `${saga.kind} ${id} has ${saga.vserver}, and is past its point of no return; see it with: vs saga show ${id}`,
      );
    if (saga.result !== 'stuck') return abort(id, issuer, host);
    note(id, { kind: 'waits', message: `${issuer} says that ${host} is dead`, dead: host });
    return again(id, issuer);
  }
  return {
    abort: (id: string, issuer: string) => abort(id, issuer),
    again,
    stranded,
    homeless,
    turnBack,
    forsake,
  };
}
