import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Agents } from './agent.ts';
import type { Children } from './children.ts';
import type { Saga } from './executor.ts';
import { type CreatePlan, createSteps, createTexts } from './sagas/create.ts';
import { type MovePlan, moveSteps, moveTexts } from './sagas/move.ts';
import { removeSteps, removeTexts } from './sagas/remove.ts';

/** A saga whose steps are other sagas has no places of its own: it would take them from those that it waits for. */
type Made = Pick<Saga, 'steps' | 'closing' | 'failed'> & { places?: string[] };

/** Every kind of saga: steps and closing sentences from its plan. */
const kinds = {
  move: (plan: MovePlan, agents: Agents) => ({ steps: moveSteps(plan, agents), ...moveTexts(plan) }),
  create: (plan: CreatePlan, agents: Agents) => ({ steps: createSteps(plan, agents), ...createTexts(plan) }),
  remove: (plan: VserverState, agents: Agents) => ({
    steps: removeSteps(plan, agents),
    ...removeTexts(plan),
  }),
} satisfies Record<SagaState['kind'], (plan: never, agents: Agents, children: Children) => Made>;
type Kind = keyof typeof kinds;
export const isKind = (kind: unknown): kind is Kind => Object.hasOwn(kinds, String(kind));

/** What a saga is made from; it stands in the first line of its journal, so that a later life can go on. */
export type Plan = { [K in Kind]: { kind: K; plan: Parameters<(typeof kinds)[K]>[0] } }[Kind];

const childless: Children = {
  run: () => Promise.reject(new VsError('internal', 'this saga has no way to begin others')),
};

/** A saga from its plan. */
export function buildSaga(what: Plan, state: SagaState, agents: Agents, children = childless): Saga {
  const make = kinds[what.kind] as (plan: unknown, agents: Agents, children: Children) => Made;
  const made = make(what.plan, agents, children);
  if (state.steps.length === 0) {
    state.steps = made.steps.map((step) => ({
      step: step.name,
      state: 'waiting',
      host: step.host,
      ...(step.downtime ? { downtime: true } : {}),
    }));
  }
  const places = [...new Set(made.steps.map((step) => step.host))].filter((host) => host !== 'master');
  return { state, abort: new AbortController(), places, ...made };
}
