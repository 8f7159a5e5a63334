import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';

type Held = { of: string; backup: { repository: string; id: string } };

/** The backup that a saga reads stays until that has ended: a prune that looked before it finds it held, or it is told that the backup is gone. */
export const holdStep = (agents: Agents, plan: Held): Step => ({
  name: 'hold',
  host: 'master',
  async do(context) {
    const { repository, id } = plan.backup;
    const args = { repository, vserver: plan.of, id, saga: context.id };
    await agents.ask('master', 'repository.hold', args, context);
  },
  undo: (context) => letGo(agents, plan, context),
});

/** The saga reads it no more. */
export async function letGo(agents: Agents, { backup }: Held, context: StepContext): Promise<void> {
  const args = { repository: backup.repository, saga: context.id };
  await agents.ask('master', 'repository.free', args, context);
}
