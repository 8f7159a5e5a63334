import type { Args, Data } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Deciding } from './plans/planned.ts';
import { requireConfirmed } from './plans/recover.ts';
import { looksFrom, requireDeadSilence } from './silence.ts';

/** A move that is past its point of no return and waits for its source, which a person says is dead. */
export interface Stranded {
  move: SagaState;
  /** It has all of the vserver, in its place. */
  target: string;
}

/**
 * Looks whether such a move may be finished without its source: it is asked for there, by a person who says so, and nobody
 * answers at the address. Throws VsError. The source may not have given the vserver up: if it comes back, it yields to the higher epoch.
 */
export async function checkFinish(
  { context, pool }: Pick<Deciding, 'context' | 'pool'>,
  args: Args<'orchestrator.recover'>,
  dead: VserverState,
  { move, target }: Stranded,
): Promise<Data<'orchestrator.recover'>> {
  requireConfirmed(args);
  const { name, host } = args;
  if (host !== target)
    throw new VsError(
      'conflict',
      `the move ${move.id} has brought all of ${name} to ${target}, and waits only for ${dead.host}: vs recover ${name} --host ${target} finishes it there`,
    );
  pool.requireHost(target);
  const looks = looksFrom(context.bus, target);
  await requireDeadSilence(looks, { ...dead, management: pool.info(dead.host)?.address });
  const title = `${move.title}; the move is finished on ${target}, without ${dead.host}`;
  return { saga: move.id, state: { ...move, title } };
}
