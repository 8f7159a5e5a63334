import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { day } from '../text.ts';

export interface ForgetPlan {
  name: string;
}

/** The steps of a forget: the master's copy goes to the trash of the copies. */
export const forgetSteps = ({ name }: ForgetPlan, agents: Agents): Step[] => [
  {
    name: 'trash',
    host: 'master',
    pnr: true,
    async do(context) {
      const { until } = await agents.ask('master', 'snapshot.trash', { name, saga: context.id }, context);
      return { until };
    },
  },
];

export const forgetTexts = ({ name }: ForgetPlan) => ({
  closing: (outputs: Record<string, Record<string, unknown>>): string =>
    `The copy of ${name} is in the trash of the copies on the master until ${day(Number(outputs['trash']?.['until'] ?? Date.now()))}.`,
  failed: (reason: string): string => `The copy of ${name} stays on the master: ${reason}.`,
});
