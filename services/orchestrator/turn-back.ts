import type { Args, Data } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import { nextEpoch } from './epochs.ts';
import type { Deciding } from './plans/planned.ts';
import { requireConfirmed } from './plans/recover.ts';
import { looksFrom, requireDeadSilence } from './silence.ts';

/** A move that is past its point of no return and waits for its target, which may be dead. */
export interface Homeless {
  move: SagaState;
  /** It has all of the vserver, as it was when it was stopped, and owns it no more. */
  source: string;
  target: string;
  /** With which the target takes it over, and may have done so. */
  epoch: number;
}

/**
 * Looks whether the source of such a move may take the vserver back: it is asked for there, by a person who says that the target
 * is dead, and nobody answers at the address. Throws VsError. The target may own it already: if it comes back, it yields to the epoch.
 */
export async function checkTurnBack(
  deciding: Deciding,
  args: Args<'orchestrator.recover'>,
  { move, source, target, epoch: taken }: Homeless,
): Promise<{ answer: Data<'orchestrator.recover'>; epoch: number }> {
  requireConfirmed(args);
  const { context, pool } = deciding;
  const { name, host } = args;
  if (host !== source)
    throw new VsError(
      'conflict',
      `the move ${move.id} has stopped ${name} on ${source}, where all of it still is, and waits for ${target}, which is offline: vs recover ${name} --host ${source} takes it back there`,
    );
  pool.requireHost(source);
  const here = pool.of(name).find((one) => one.host === source);
  if (!here)
    throw new VsError('unavailable', `${source} has not told yet what it has of ${name}`, {
      retryable: true,
    });
  await requireDeadSilence(looksFrom(context.bus, source), {
    ...here,
    host: target,
    management: pool.info(target)?.address,
  });
  const epoch = await nextEpoch(deciding, here, taken);
  const title = `${move.title}; ${source} takes it back, without ${target}`;
  return { answer: { saga: move.id, state: { ...move, title } }, epoch };
}
