import type { SagaState } from '../../../shared/contract/saga.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Children } from '../children.ts';
import type { Step, StepContext } from '../executor.ts';
import { type UpdateHostsPlan, planUpdateHost } from '../plans/update-hosts.ts';
import { hosts } from '../text.ts';
import { doing } from './evacuate.ts';
import { moveAll, partsOf } from './move-all.ts';

/** Thrown by the plan of a host that has the version by now. */
class Current extends Error {}

/** The step of an update of hosts: one after the other, and none after one that failed. */
export function updateHostsSteps(plan: UpdateHostsPlan, children: Children): Step[] {
  async function one(context: StepContext, host: string, say: (what: string) => void): Promise<string> {
    try {
      const state = await children.run(context, {
        kind: 'update-host',
        tag: host,
        args: { host, ...(plan.oneWay ? { oneWay: true } : {}) },
        async plan() {
          if (children.deciding.context.version !== plan.to)
            throw new VsError(
              'refused',
              `the master is of ${children.deciding.context.version} by now: begin again`,
            );
          const planned = await planUpdateHost(children.deciding, host, plan.oneWay);
          if (!planned) throw new Current();
          return planned;
        },
        watch: (now) => say(doing(now)),
      });
      if (state.result !== 'done')
        throw new VsError(state.result === 'stuck' ? 'stuck' : 'failed', state.message ?? state.result);
    } catch (error) {
      if (!(error instanceof Current)) throw error;
    }
    return `runs ${plan.to}`;
  }
  return [
    {
      name: 'update all',
      host: 'master',
      async do(context) {
        const all = { vservers: plan.hosts, parallel: 1, firstOnly: true };
        const done = await moveAll(context, children, all, ({ name }, say) => one(context, name, say));
        if (plan.others.length > 0)
          throw new VsError('failed', `${plan.others.map(({ name }) => name).join(', ')} stayed`);
        context.say(`${done} of ${plan.hosts.length}`);
      },
    },
  ];
}

export const updateHostsTexts = (plan: UpdateHostsPlan) => ({
  places: [],
  parts: {
    after: 'update all',
    rows: [
      ...plan.hosts.map(({ name, from, why }) => ({
        step: name,
        state: 'waiting' as const,
        host: name,
        message: `${from} -> ${plan.to}${why ? `; ${why}` : ''}`,
      })),
      ...plan.others.map(({ name, why }) => ({
        step: name,
        state: 'waiting' as const,
        host: name,
        message: `stays: ${why}`,
      })),
    ],
  },
  closing: (_outputs: unknown, state: SagaState): string =>
    `${partsOf(state).length === 0 ? `All that were asked for run vs-tools ${plan.to} already` : `vs-tools ${plan.to} runs on ${hosts(partsOf(state).length)} now`}.`,
  failed(reason: string, state: SagaState): string {
    const all = partsOf(state);
    const went = all.filter((row) => row.state === 'done').length;
    const others = new Map(plan.others.map(({ name, why }) => [name, why]));
    const lines = all
      .filter((row) => row.state !== 'done')
      .map((row) => {
        const untouched = row.state === 'waiting' ? 'was not touched' : row.message;
        return `\n  ${row.step.padEnd(10)} ${others.get(row.step) ?? untouched ?? 'stays'}`;
      });
    return `vs-tools ${plan.to} runs on ${went} of ${hosts(all.length)} now: ${reason}.${lines.join('')}\nHosts of both versions work together meanwhile. Mend that, then again: vs master update-hosts`;
  },
});
