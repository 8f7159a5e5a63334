import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Agents } from './agent.ts';
import type { Saga } from './executor.ts';
import { type CreatePlan, createSteps, createTexts } from './sagas/create.ts';
import { type MovePlan, moveSteps, moveTexts } from './sagas/move.ts';
import { removeSteps, removeTexts } from './sagas/remove.ts';

/** What a saga is made from; it stands in the first line of its journal, so that a later life can go on. */
export type Plan =
  | { kind: 'move'; plan: MovePlan }
  | { kind: 'create'; plan: CreatePlan }
  | { kind: 'remove'; plan: VserverState };

/** Steps and closing sentences of a saga from its plan. */
export function buildSaga(what: Plan, state: SagaState, agents: Agents): Saga {
  const made =
    what.kind === 'move'
      ? { steps: moveSteps(what.plan, agents), ...moveTexts(what.plan) }
      : what.kind === 'create'
        ? { steps: createSteps(what.plan, agents), ...createTexts(what.plan) }
        : { steps: removeSteps(what.plan, agents), ...removeTexts(what.plan) };
  if (state.steps.length === 0) {
    state.steps = made.steps.map((step) => ({
      step: step.name,
      state: 'waiting',
      host: step.host,
      ...(step.downtime ? { downtime: true } : {}),
    }));
  }
  return { state, abort: new AbortController(), ...made };
}
