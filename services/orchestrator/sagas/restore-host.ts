import type { SagaState } from '../../../shared/contract/saga.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Children } from '../children.ts';
import type { Step, StepContext } from '../executor.ts';
import { planMove } from '../plans/move.ts';
import { seconds } from '../text.ts';
import { doing } from './evacuate.ts';
import { moveAll, partsOf, staying } from './move-all.ts';

export interface RestoreHostPlan {
  host: string;
  parallel: number;
  /** Those that left it and still are where they went. */
  vservers: { name: string; from: string }[];
  /** Those that are not waited for: somebody moved or removed them since. */
  others: { name: string; why: string }[];
}

/** The steps of bringing back what was evacuated; the mark goes last. */
export function restoreHostSteps(plan: RestoreHostPlan, children: Children): Step[] {
  const { host } = plan;
  const { marks, pool } = children.deciding;
  async function one(
    context: StepContext,
    { name, from }: RestoreHostPlan['vservers'][number],
    say: (what: string) => void,
  ): Promise<string> {
    const state = await children.run(context, {
      kind: 'move',
      tag: name,
      args: { name, host },
      async plan() {
        // what is known of it may not be heard yet after a restart
        if (!pool.of(name).some((copy) => copy.epoch > 0))
          throw new VsError('not-found', `nobody owns ${name} any more`, { retryable: true });
        const now = pool.locate(name).host;
        if (now !== from) throw new VsError('refused', `it is on ${now} now, not on ${from}: left there`);
        return planMove(children.deciding, { name, host });
      },
      watch: (now) => say(`from ${from}: ${doing(now)}`),
    });
    if (state.result !== 'done')
      throw new VsError(state.result === 'stuck' ? 'stuck' : 'failed', state.message ?? state.result);
    await marks.forget(host, name);
    return `on ${host}${state.downtimeMs === undefined ? '' : `, ${seconds(state.downtimeMs)} down`}`;
  }
  return [
    {
      name: 'move back',
      host,
      async do(context) {
        for (const { name } of plan.others) await marks.forget(host, name);
        const done = await moveAll(context, children, plan, (vserver, say) => one(context, vserver, say));
        context.say(`${done} came back`);
      },
    },
    {
      name: 'lift mark',
      host,
      async do(context) {
        await marks.clear(host);
        context.say('new ones may be placed there');
      },
    },
  ];
}

/** The rows and sentences of a restore. */
export const restoreHostTexts = (plan: RestoreHostPlan) => {
  const others = plan.others.map(({ name, why }) => `\n  ${name.padEnd(10)} ${why}`).join('');
  return {
    places: [],
    parts: {
      after: 'move back',
      rows: plan.vservers.map(({ name, from }) => ({
        step: name,
        state: 'waiting' as const,
        host: from,
        message: `from ${from}`,
      })),
    },
    closing: (_outputs: unknown, state: SagaState): string =>
      `${plan.host} takes vservers again; ${partsOf(state).length} came back.${others ? ` Not brought back:${others}` : ''}`,
    failed(reason: string, state: SagaState): string {
      const all = partsOf(state);
      const came = all.filter((row) => row.state === 'done').length;
      return `${plan.host}: ${came} of ${all.length} vservers came back: ${reason}.${staying(state)}${others}\nNothing new is placed there yet. Mend that, then: vs restore-host ${plan.host}`;
    },
  };
};
