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
  /** The recover is this move, without its source, or turned back without its target; of a dry run without `ended`. */
  finish?: Data<'orchestrator.recover'> & { ended?: Promise<SagaState> };
}

/**
 * Ends what has the vserver and would wait for its dead host, as a get or a move that had just begun, once nothing else is in
 * the way of a recover. What it leaves on that host is owed from before it is ended: its end must not be the last that is known.
 */
export async function makeWay(
  parts: {
    deciding: Deciding;
    sagas: Pick<Runner, 'list' | 'homeless' | 'turnBack' | 'stranded' | 'forsake'>;
    owed: Pick<Owed, 'add' | 'drop'>;
  },
  args: Args<'orchestrator.recover'>,
  issuer: string,
): Promise<Way> {
  const { deciding, sagas, owed } = parts;
  /** Its end, once that is certain to come. */
  async function ends(saga: string, host: string, end: () => Promise<SagaState>) {
    const debt = { host, name: args.name, saga };
    await owed.add(debt);
    const ended = end();
    ended.catch(() => owed.drop(debt)).catch(() => undefined); // it was refused, or goes on
    await Promise.race([ended, Promise.resolve()]); // what is refused is refused at once
    return { ended };
  }
  const homeless = sagas.homeless(args.name);
  if (homeless) {
    const { state, epoch } = await checkTurnBack(deciding, args, homeless);
    const finish = { saga: state.id, state, undoes: true };
    if (args.dryRun === true) return { finish };
    const back = () => sagas.turnBack(homeless, epoch, issuer);
    return { finish: { ...finish, ...(await ends(state.id, homeless.target, back)) } };
  }
  const dead = lost(deciding.pool, args.name);
  const over = sagas.list({ limit: 1000 }).find((one) => waitsFor(one, dead));
  const forsake = (saga: string) => ends(saga, dead.host, () => sagas.forsake(saga, dead.host, issuer));
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
