import type { SagaState } from '../../../shared/contract/saga.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Children } from '../children.ts';
import type { Step, StepContext } from '../executor.ts';
import { placeAll } from '../placement.ts';
import type { EvacuatePlan } from '../plans/evacuate.ts';
import { planMove } from '../plans/move.ts';
import { roomsOf } from '../rooms.ts';
import { seconds, vservers } from '../text.ts';
import { moveAll, partsOf, staying } from './move-all.ts';

type Vserver = EvacuatePlan['vservers'][number];

/** So many hosts are tried for one vserver. */
const TRIES = 3;

/** The steps of an evacuation. Names with a blank: the others are those of vservers. */
export function evacuateSteps(plan: EvacuatePlan, children: Children): Step[] {
  const { host } = plan;
  const { clock } = children;
  const { marks, pool } = children.deciding;
  const isThere = (name: string) => pool.of(name).some((copy) => copy.host === host && copy.epoch > 0);
  async function one(context: StepContext, vserver: Vserver, say: (what: string) => void): Promise<string> {
    const { name } = vserver;
    if (vserver.why !== undefined) throw new VsError('refused', vserver.why);
    const tried: string[] = [];
    let first: unknown;
    for (let to = vserver.to; to !== undefined && tried.length < TRIES; to = another(vserver, tried)) {
      const target = to;
      tried.push(target);
      try {
        const state = await children.run(context, {
          kind: 'move',
          tag: `${name} ${target}`,
          args: { name, host: target },
          async plan() {
            pool.requireHost(host);
            // what is known of it may be of before a restart, or not be heard yet after one
            if (!isThere(name))
              throw new VsError('not-found', `${host} does not own it any more`, { retryable: true });
            return planMove(children.deciding, { name, host: target });
          },
          watch: (now) => say(`to ${target}: ${doing(now)}`),
        });
        if (state.result === 'done') {
          await marks.leave(host, { name, to: target });
          const down = state.downtimeMs === undefined ? '' : `, ${seconds(state.downtimeMs)} down`;
          return `on ${target}${down}`;
        }
        throw new VsError(state.result === 'stuck' ? 'stuck' : 'failed', state.message ?? state.result, {
          details: { byPerson: state.error?.message.startsWith('aborted by') },
        });
      } catch (error) {
        const now = pool.of(name).find((other) => other.epoch > 0);
        if (now && now.host !== host) return `on ${now.host} already`;
        first ??= error;
        if (context.signal.aborted || !elsewhereMayHelp(error)) throw error;
      }
    }
    throw first;
  }
  /** By what is free now: the one that was chosen would not have it. */
  function another(vserver: Vserver, tried: string[]): string | undefined {
    const rooms = roomsOf(children.deciding, host, plan.to).filter((room) => !tried.includes(room.host));
    const place = placeAll([vserver], rooms).get(vserver.name);
    return place && 'to' in place ? place.to : undefined;
  }
  return [
    {
      name: 'mark host',
      host,
      async do(context) {
        await marks.set(host, { since: clock.now(), saga: context.id, by: context.issuer ?? 'unknown' });
        context.say('nothing new is placed there');
      },
      async undo() {
        if (marks.get(host)?.left.length === 0) await marks.clear(host);
      },
    },
    {
      name: 'move all',
      host,
      async do(context) {
        const done = await moveAll(context, children, plan, (vserver, say) => one(context, vserver, say));
        const late = pool.all().filter((other) => other.host === host && other.epoch > 0);
        const others = late.filter((other) => !plan.vservers.some(({ name }) => name === other.name));
        if (others.length > 0)
          throw new VsError('failed', `${others.map(({ name }) => name).join(', ')} came meanwhile`);
        context.say(`${done} went`);
      },
    },
  ];
}

/** Not when a person ended its move, or has to mend it, nor while another saga has it. */
function elsewhereMayHelp(error: unknown): boolean {
  if (!(error instanceof VsError)) return false;
  return (
    error.code !== 'stuck' &&
    error.code !== 'not-found' &&
    !(error.code === 'conflict' && error.retryable) &&
    error.details?.['byPerson'] !== true
  );
}

/** What a saga does just now, in a few words. */
export const doing = (state: SagaState): string =>
  state.waits ?? state.steps.find((row) => row.state === 'running' || row.state === 'undoing')?.step ?? '...';

/** The rows and sentences of an evacuation. */
export const evacuateTexts = (plan: EvacuatePlan) => ({
  places: [],
  parts: {
    after: 'move all',
    rows: plan.vservers.map(({ name, to, why }) => ({
      step: name,
      state: 'waiting' as const,
      ...(to ? { host: to } : {}),
      message: why === undefined ? `to ${to}` : `stays: ${why}`,
    })),
  },
  closing: (_outputs: unknown, state: SagaState): string =>
    `${plan.host} is evacuated: ${vservers(partsOf(state).length)} went. Nothing new is placed there until: vs restore-host ${plan.host}`,
  failed(reason: string, state: SagaState): string {
    const all = partsOf(state);
    const went = all.filter((row) => row.state === 'done').length;
    const then =
      went === 0
        ? `Mend that, then: vs evacuate ${plan.host}`
        : `Nothing new is placed on ${plan.host}. Mend that, then: vs evacuate ${plan.host}; or undo it: vs restore-host ${plan.host}`;
    return `${plan.host}: ${went} of ${all.length} vservers went: ${reason}.${staying(state)}\n${then}`;
  },
});
