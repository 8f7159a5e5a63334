import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { freezes } from './move-halt.ts';
import { keepSnapshots } from './move-snapshots.ts';
import type { MovePlan } from './move.ts';
import { bothEnded } from './steps.ts';

/** While it boots, what can wait waits (ms): a check and the clean-up would take the processor from what people wait for. */
const SETTLE_MS = 400;

/** This step was cut off before, when it had gone to the trash already. */
function unlessGone(error: unknown): void {
  if (!(error instanceof VsError) || error.code !== 'not-found') throw error;
}

/** From the point of no return on: the source gives it up, the target takes over and starts it, and what is left goes. */
export function handOverSteps(plan: MovePlan, agents: Agents): Step[] {
  const { name, source, target, running, epoch, network } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const steps: (Step | false)[] = [
    {
      name: 'give up',
      host: source,
      downtime: running,
      pnr: true,
      async do(context) {
        const args = { ...both(context), epoch, to: target, ...(freezes(plan) ? { frozen: true } : {}) };
        const released: { epoch?: number } = await agents.ask(source, 'host-agent.release', args, context);
        // a person said that it is dead: it was not asked
        if (released.epoch === undefined) context.say(`${source} is dead, and was not asked`);
        else context.say(`${source} owns it no more`);
      },
      // only when a person said that the target is dead
      async undo(context) {
        if (context.back === undefined) return;
        await agents.ask(source, 'host-agent.claim', { ...both(context), epoch: context.back }, context);
        context.say(`${source} owns it again, epoch ${context.back}`);
      },
    },
    {
      name: 'take over',
      host: target,
      downtime: running,
      async do(context) {
        const next = { ...both(context), epoch: epoch + 1, ...(running ? { start: true } : {}) };
        await agents.ask(target, 'host-agent.claim', next, context);
        context.say(`${target} owns it, epoch ${epoch + 1}`);
      },
    },
    running && {
      name: 'start',
      host: target,
      downtime: true,
      async do(context) {
        await agents.ask(target, 'host-agent.start', { ...both(context), epoch: epoch + 1 }, context, {
          timeoutMs: 120_000,
        });
        context.say('started');
        return { up: true };
      },
    },
    running && {
      name: 'answer',
      host: target,
      async do(context) {
        // its host may have lost its power since it was started; one that runs is left as it is
        const mine = { ...both(context), epoch: epoch + 1 };
        await agents.ask(target, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
        const asked = { name, timeout: 60_000, settle: SETTLE_MS };
        await agents.ask(target, 'host-agent.answering', asked, context, { timeoutMs: 90_000 });
        context.say('answers');
      },
    },
    plan.snapshots === true && keepSnapshots(plan, agents),
    {
      name: 'clean up',
      host: source,
      async do(context) {
        // what was frozen can run no more, and ends now
        if (freezes(plan))
          await agents
            .ask(source, 'host-agent.stop', { ...both(context), force: true }, context)
            .catch(unlessGone);
        const long = { timeoutMs: 600_000 };
        // a connection that a former life made ready and nobody used ends too
        const fromSource = async () => {
          await agents.ask(source, 'transfer.close', both(context), context);
          await agents.ask(source, 'host-agent.detach', both(context), context);
          const kept = await agents.ask(source, 'snapshot.trash', both(context), context, long);
          await agents.ask(source, 'snapshot.remove', both(context), context, long);
          await agents.ask(source, 'network.down', { network }, context);
          return kept.until as number | undefined;
        };
        const fromTarget = async () => {
          await agents.ask(target, 'transfer.close', both(context), context, { tag: 'target' });
          await agents.ask(target, 'snapshot.discard', both(context), context, long);
        };
        const [until] = await bothEnded(fromSource(), fromTarget());
        await agents.ask(source, 'host-agent.unlock', both(context), context);
        await agents.ask(target, 'host-agent.unlock', both(context), context, { tag: 'target' });
        // a person said that the source is dead: it was not asked
        if (until === undefined) context.say(`${source} is dead, and was not asked`);
        else context.say(`old copy in the trash of ${source}`);
        return until === undefined ? {} : { until };
      },
    },
  ];
  return steps.filter((step) => step !== false);
}
