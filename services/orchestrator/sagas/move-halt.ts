import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import type { MovePlan } from './move.ts';

/** Is its source frozen instead of stopped? */
export const freezes = ({ running, crashConsistent }: MovePlan): boolean =>
  running && crashConsistent === true;

/** The source stands still: it is stopped, or frozen. The undo has it run again. */
export function haltStep(plan: MovePlan, agents: Agents): Step {
  const { name, source, epoch } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
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
        await agents.ask(source, 'host-agent.thaw', { ...both(context), epoch }, context);
        // its host may have lost its power since; one that runs is left as it is
        await agents.ask(source, 'host-agent.start', { ...both(context), epoch }, context, {
          timeoutMs: 120_000,
        });
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
    undo: async (context) =>
      void (await agents.ask(source, 'host-agent.start', { ...both(context), epoch }, context, {
        timeoutMs: 120_000,
      })),
  };
}
