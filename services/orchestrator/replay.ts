import { z } from 'zod';
import { type SagaState, sagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { type Plan, isKind } from './build.ts';
import type { Line } from './journal.ts';
import { migrate } from './migrate.ts';

/** What a step keeps for the later ones (in the journal, so no secrets). */
export type Output = Record<string, unknown>;

/** What a journal says happened: finished steps with their outputs, and whether it was going back. */
export function replay(lines: Line[]) {
  const outputs: Record<string, Output> = {};
  const started = new Set<string>();
  const undone = new Set<string>();
  let pnr = false;
  let failure: { step: string; message: string; code: string; host?: string | undefined } | undefined;
  let ended: Line | undefined;
  /** A person said, past the point of no return, that the target is dead: the source takes it back, with this epoch. */
  let back: { epoch: number; message: string } | undefined;
  /** Hosts of which a person said that they are dead. */
  const dead = new Set<string>();
  /** How often it was stuck: a new life of it asks anew, and is not given the answers of the last one. */
  let lives = 0;
  for (const line of lines) {
    const step = line.step ?? '';
    if (line.kind === 'started') started.add(step);
    if (line.kind === 'succeeded') outputs[step] = (line['output'] as Output | undefined) ?? {};
    if (typeof line['dead'] === 'string') dead.add(line['dead']);
    if (line.kind === 'return') {
      pnr = false;
      back = { epoch: Number(line['epoch']), message: String(line['message']) };
      failure = { step: 'abort', message: back.message, code: 'refused' };
    }
    if (line.kind === 'failed' && !back)
      failure = {
        step,
        message: String(line['message']),
        code: typeof line['code'] === 'string' ? line['code'] : 'failed',
        host: typeof line['host'] === 'string' ? line['host'] : undefined,
      };
    if (line.kind === 'undone') undone.add(step);
    if (line.kind === 'pnr') pnr = true;
    if (line.kind === 'abort')
      failure ??= { step: 'abort', message: String(line['message']), code: 'refused' };
    if (line.kind === 'resumed') ended = undefined; // a person has it try again
    if (line.kind === 'end') {
      ended = line;
      lives++;
    }
  }
  return { outputs, started, undone, pnr, failure, back, dead, ended, lives };
}

const begun = z.looseObject({
  plan: z.custom<Plan>((plan) => isKind((plan as Plan | undefined)?.kind)),
  state: sagaState,
});

/** A saga as its journal has it. */
export type Recalled =
  | { finished: true; state: SagaState }
  | { finished: false; state: SagaState; plan: Plan; atWork: boolean; past: ReturnType<typeof replay> };

/**
 * What a later life does with a journal: nothing when it has ended (its kind may be one of a newer version then), else go
 * on. `atWork`: it has begun to act. Throws VsError with details {first} when its beginning is not known here.
 */
export function recall(id: string, written: Line[]): Recalled {
  const lines = migrate(written);
  const past = replay(lines);
  const last = past.ended?.['state'] as SagaState | undefined;
  if (last && isFinished(last)) return { finished: true, state: last };
  const first = begun.safeParse(lines[0]);
  if (!first.success || first.data.state.id !== id)
    throw new VsError(
      'failed',
      `the journal of saga ${id} has no beginning that this version knows; finish it with the version that wrote it, or find out where its vserver is (vs scan) and move the file away`,
      { details: { first: lines[0] } },
    );
  const { plan, state } = first.data;
  const atWork = past.started.size > 0 || past.failure !== undefined;
  return { finished: false, state: last ?? state, plan, atWork, past };
}
export const isFinished = (state: SagaState): boolean => state.result === 'done' || state.result === 'undone';
