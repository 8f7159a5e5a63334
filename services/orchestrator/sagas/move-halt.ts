import { type Agents, fresh } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import type { MovePlan } from './move.ts';
import { requireAlone, requireGone } from './recover.ts';

/** Is its source frozen instead of stopped? */
export const freezes = ({ running, crashConsistent }: MovePlan): boolean =>
  running && crashConsistent === true;

/** The source stands still: it is stopped, or frozen. The undo has it run again. */
export function haltStep(plan: MovePlan, agents: Agents): Step {
  const { name, source, epoch } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  /** It runs again. When the target is dead, past the point of no return, it has a new epoch, and the target may be back. */
  async function startAgain(context: StepContext): Promise<void> {
    if (context.back !== undefined) {
      await requireGone(agents, { dead: plan.target, name }, context);
      const { state } = await agents.ask(source, 'host-agent.show', { name }, context, { tag: fresh() });
      await requireAlone(agents, { ...state, dead: plan.target, name, target: source }, context);
    }
    const mine = { ...both(context), epoch: context.back ?? epoch };
    await agents.ask(source, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
  }
  if (freezes(plan))
    return {
      name: 'freeze',
      host: source,
      downtime: true,
      resumes: true,
      async do(context) {
        await agents.ask(source, 'host-agent.freeze', { ...both(context), epoch }, context);
        context.say('frozen, and off the network');
      },
      async undo(context) {
        if (context.back === undefined)
          await agents.ask(source, 'host-agent.thaw', { ...both(context), epoch }, context);
        // what was given up frozen can run no more
        else await agents.ask(source, 'host-agent.stop', { ...both(context), force: true }, context);
        // its host may have lost its power since; one that runs is left as it is
        await startAgain(context);
      },
    };
  return {
    name: 'stop',
    host: source,
    downtime: true,
    resumes: true,
    async do(context) {
      const early = { ...both(context), epoch, early: true };
      await agents.ask(source, 'host-agent.stop', early, context, { timeoutMs: 120_000 });
      context.say('stopped');
    },
    undo: startAgain,
  };
}
