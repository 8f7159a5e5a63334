import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { MortalAgents } from './agent.ts';
import type { Carrier } from './carry.ts';
import type { openDamaged } from './damaged.ts';
import type { Stranded } from './finish.ts';
import type { Former } from './former.ts';
import { type Journals, type Line, notWritten } from './journal.ts';
import { recall, replay } from './replay.ts';
import type { Running } from './turns.ts';

/** What people may do about a saga that runs or is stuck. */
export function openInterventions(parts: {
  journals: Journals;
  agents: MortalAgents;
  damaged: ReturnType<typeof openDamaged>;
  carrier: Carrier;
  former: Former;
  /** Throws VsError when there is none. */
  show(id: string): { saga: SagaState; journal: Line[] };
}) {
  const { journals, agents, damaged, former, show } = parts;
  const { running, note, run } = parts.carrier;
  const isPast = (id: string, journal: Line[]): boolean =>
    running.get(id)?.saga.past === true || replay(journal).pnr;

  /** It is aborted, durably, when this returns. Throws VsError. */
  function cut(id: string, issuer: string): Running {
    show(id);
    const one = running.get(id);
    if (!one) throw new VsError('refused', `saga ${id} has ended`);
    if (isPast(id, journals.read(id)))
      throw new VsError('refused', `saga ${id} is past its point of no return; it goes on to its end`);
    try {
      journals.append(id, { kind: 'abort', message: `aborted by ${issuer}` });
    } catch (error) {
      throw notWritten(error, 'it is not aborted');
    }
    one.saga.abortReason = `aborted by ${issuer}`;
    one.saga.abort.abort();
    one.go?.();
    return one;
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
  /**
   * Ends a saga that waits for a host which a person says is dead: what is to be undone on other hosts is undone. Past the
   * point of no return a move goes on without its source; all else is refused.
   */
  async function forsake(id: string, host: string, issuer: string): Promise<SagaState> {
    const { saga, journal } = show(id);
    if (stranded(id, host)) {
      note(id, { kind: 'waits', message: `${issuer} says that ${host} is dead: it is not asked any more` });
      agents.giveUp(id, host);
      return saga.result === 'stuck' ? again(id, issuer) : (running.get(id)?.ended ?? saga);
    }
    if (isPast(id, journal))
      throw new VsError(
        'conflict',
        `${saga.kind} ${id} has ${saga.vserver}, and is past its point of no return; see it with: vs saga show ${id}`,
      );
    // one that goes forward must ask that host: an answer that nobody gave would count as success
    const one = saga.result === 'stuck' ? undefined : cut(id, issuer);
    agents.giveUp(id, host);
    return one ? one.ended : again(id, issuer);
  }
  return {
    abort: async (id: string, issuer: string): Promise<SagaState> => cut(id, issuer).ended,
    again,
    stranded,
    forsake,
  };
}
