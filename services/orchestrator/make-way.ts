import type { Args, Data } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { checkFinish } from './finish.ts';
import type { Owed } from './owed.ts';
import type { Deciding } from './plans/planned.ts';
import { lost, planRecover } from './plans/recover.ts';
import type { Runner } from './runner.ts';
import { checkTurnBack } from './turn-back.ts';

/** What is in the way of a recover: a saga that ends, or the move that brings all of it by itself. */
interface Way {
  /** That has been ended; of a dry run: that would be. */
  over?: SagaState | undefined;
  /** The recover is this move, without its source, or back on it without its target; of a dry run without `ended`. */
  finish?: Data<'orchestrator.recover'> & { ended?: Promise<SagaState> };
}

/**
 * Ends what has the vserver and would wait for its dead host, as a get or a move that had just begun, once nothing else is in
 * the way of a recover. What it leaves on that host is owed from before it is ended: its end must not be the last that is known.
 */
export async function makeWay(
  parts: {
    deciding: Deciding;
    sagas: Pick<Runner, 'list' | 'stranded' | 'homeless' | 'turnBack' | 'forsake'>;
    owed: Pick<Owed, 'add' | 'drop'>;
  },
  args: Args<'orchestrator.recover'>,
  issuer: string,
): Promise<Way> {
  const { deciding, sagas, owed } = parts;
  const homeless = sagas.homeless(args.name);
  if (homeless) {
    const { state, epoch } = await checkTurnBack(deciding, args, homeless);
    const finish = { saga: state.id, state, undoes: true };
    if (args.dryRun === true) return { finish };
    await owed.add({ host: homeless.target, name: args.name, saga: state.id });
    return { finish: { ...finish, ...sagas.turnBack(homeless, epoch, issuer) } };
  }
  const dead = lost(deciding.pool, args.name);
  const over = sagas.list({ limit: 1000 }).find((one) => waitsFor(one, dead));
  /** Its end, once that is certain to come. */
  async function forsake(saga: string): Promise<{ ended: Promise<SagaState> }> {
    const debt = { host: dead.host, name: args.name, saga };
    await owed.add(debt);
    const ended = sagas.forsake(saga, dead.host, issuer);
    ended.catch(() => owed.drop(debt)).catch(() => undefined); // it was refused, or goes on
    return { ended };
  }
  const stranded = over && sagas.stranded(over.id, dead.host);
  if (over && stranded) {
    const planned = await checkFinish(deciding, args, dead, stranded);
    if (args.dryRun === true) return { finish: planned };
    return { finish: { ...planned, ...(await forsake(over.id)) } };
  }
  await planRecover(deciding, args);
  if (over && args.dryRun !== true) {
    const state = await (await forsake(over.id)).ended;
    if (state.result === 'stuck') throw new VsError('stuck', state.message ?? `saga ${over.id} is stuck`);
  }
  return { over };
}

const waitsFor = (one: SagaState, { name, host }: VserverState): boolean =>
  ['running', 'stuck'].includes(one.result) &&
  one.vserver === name &&
  one.steps.some((step) => step.host === host);
