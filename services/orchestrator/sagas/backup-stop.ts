import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import type { BackupPlan } from '../plans/backup.ts';

/** The steps for which it does not run, and is held. */
export function stoppedSteps(
  plan: Pick<BackupPlan, 'name' | 'source' | 'epoch' | 'uuid'>,
  agents: Agents,
  during: Step,
): Step[] {
  const { name, source, epoch } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const ran = (context: StepContext) => context.outputs['lock']?.['running'] === true;
  const startAgain = async (context: StepContext) =>
    void (await agents.ask(source, 'host-agent.start', { ...both(context), epoch }, context, {
      timeoutMs: 120_000,
    }));
  return [
    {
      name: 'lock',
      host: source,
      async do(context) {
        const now = await agents.ask(
          source,
          'host-agent.lock',
          { ...both(context), ttl: 86_400_000 },
          context,
        );
        if (now.epoch !== epoch || now.uuid !== plan.uuid)
          throw new VsError(
            'conflict',
            `${name} on ${source} is not the one that was to be backed up any more`,
          );
        return { running: now.state === 'running' };
      },
      undo: async (context) => void (await agents.ask(source, 'host-agent.unlock', both(context), context)),
    },
    {
      name: 'stop',
      host: source,
      downtime: true,
      resumes: true,
      async do(context) {
        if (!ran(context)) return context.say('somebody has stopped it already');
        await agents.ask(source, 'host-agent.stop', { ...both(context), epoch }, context, {
          timeoutMs: 660_000,
        });
        context.say('stopped');
      },
      async undo(context) {
        // what was started again may have been stopped by a person since
        if (ran(context) && !context.outputs['start']) await startAgain(context);
      },
    },
    { ...during, downtime: true },
    {
      name: 'start',
      host: source,
      downtime: true,
      async do(context) {
        if (!ran(context)) return context.say('it stays stopped');
        await startAgain(context);
        context.say('started');
        return { up: true };
      },
    },
    {
      name: 'unlock',
      host: source,
      do: async (context) => void (await agents.ask(source, 'host-agent.unlock', both(context), context)),
    },
  ];
}
