import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { Agents } from './agent.ts';
import type { Children } from './children.ts';
import type { Saga } from './executor.ts';
import type { BackupPlan } from './plans/backup.ts';
import type { BackupRestorePlan } from './plans/backup-restore.ts';
import type { BackupTestPlan } from './plans/backup-test.ts';
import { backupSteps, backupTexts } from './sagas/backup.ts';
import { backupRestoreSteps, backupRestoreTexts } from './sagas/backup-restore.ts';
import { backupTestSteps, backupTestTexts } from './sagas/backup-test.ts';
import { copyTexts } from './sagas/copy.ts';
import type { CreatePlan } from './plans/create-plan.ts';
import type { EvacuatePlan } from './plans/evacuate.ts';
import { createSteps, createTexts } from './sagas/create.ts';
import { type ForgetPlan, forgetSteps, forgetTexts } from './sagas/forget.ts';
import { type GetPlan, getSteps, getTexts } from './sagas/get.ts';
import { type MovePlan, moveSteps, moveTexts } from './sagas/move.ts';
import { type PutPlan, putSteps, putTexts } from './sagas/put.ts';
import { type RecoverPlan, recoverSteps, recoverTexts } from './sagas/recover.ts';
import { type RemovePlan, removeSteps, removeTexts } from './sagas/remove.ts';
import { type RenamePlan, renameSteps, renameTexts } from './sagas/rename.ts';
import { type RestorePlan, restoreSteps, restoreTexts } from './sagas/restore.ts';
import { type RollbackPlan, rollbackSteps, rollbackTexts } from './sagas/rollback.ts';
import { evacuateSteps, evacuateTexts } from './sagas/evacuate.ts';
import type { UpdateHostPlan, UpdateHostsPlan } from './plans/update-hosts.ts';
import { updateHostSteps, updateHostTexts } from './sagas/update-host.ts';
import { updateHostsSteps, updateHostsTexts } from './sagas/update-hosts.ts';
import { type RestoreHostPlan, restoreHostSteps, restoreHostTexts } from './sagas/restore-host.ts';

/** A saga whose steps are other sagas has no places of its own: it would take them from those that it waits for. */
type Made = Pick<Saga, 'steps' | 'closing' | 'failed'> & {
  places?: string[];
  alone?: boolean;
  /** Rows of their own for the parts of its steps, after the row of this step. */
  parts?: { after: string; rows: SagaState['steps'] };
};

/** Every kind of saga: steps and closing sentences from its plan. */
const kinds = {
  move: (plan: MovePlan, agents: Agents) => ({ steps: moveSteps(plan, agents), ...moveTexts(plan) }),
  create: (plan: CreatePlan, agents: Agents) => ({ steps: createSteps(plan, agents), ...createTexts(plan) }),
  copy: (plan: CreatePlan, agents: Agents) => ({ steps: createSteps(plan, agents), ...copyTexts(plan) }),
  rename: (plan: RenamePlan, agents: Agents) => ({ steps: renameSteps(plan, agents), ...renameTexts(plan) }),
  restore: (plan: RestorePlan, agents: Agents) => ({
    steps: restoreSteps(plan, agents),
    ...restoreTexts(plan),
  }),
  rollback: (plan: RollbackPlan, agents: Agents) => ({
    steps: rollbackSteps(plan, agents),
    ...rollbackTexts(plan),
  }),
  remove: (plan: RemovePlan, agents: Agents) => ({
    steps: removeSteps(plan, agents),
    ...removeTexts(plan),
  }),
  get: (plan: GetPlan, agents: Agents) => ({ steps: getSteps(plan, agents), ...getTexts(plan) }),
  put: (plan: PutPlan, agents: Agents) => ({ steps: putSteps(plan, agents), ...putTexts(plan) }),
  recover: (plan: RecoverPlan, agents: Agents) => ({
    steps: recoverSteps(plan, agents),
    ...recoverTexts(plan),
  }),
  forget: (plan: ForgetPlan, agents: Agents) => ({
    steps: forgetSteps(plan, agents),
    ...forgetTexts(plan),
  }),
  evacuate: (plan: EvacuatePlan, _agents: Agents, children: Children) => ({
    steps: evacuateSteps(plan, children),
    ...evacuateTexts(plan),
  }),
  'restore-host': (plan: RestoreHostPlan, _agents: Agents, children: Children) => ({
    steps: restoreHostSteps(plan, children),
    ...restoreHostTexts(plan),
  }),
  backup: (plan: BackupPlan, agents: Agents) => ({ steps: backupSteps(plan, agents), ...backupTexts(plan) }),
  'backup-restore': (plan: BackupRestorePlan, agents: Agents) => ({
    steps: backupRestoreSteps(plan, agents),
    ...backupRestoreTexts(plan),
  }),
  'backup-test': (plan: BackupTestPlan, agents: Agents) => ({
    steps: backupTestSteps(plan, agents),
    ...backupTestTexts(plan),
  }),
  'update-hosts': (plan: UpdateHostsPlan, _agents: Agents, children: Children) => ({
    steps: updateHostsSteps(plan, children),
    ...updateHostsTexts(plan),
  }),
  'update-host': (plan: UpdateHostPlan, agents: Agents, children: Children) => ({
    steps: updateHostSteps(plan, agents, children.clock),
    ...updateHostTexts(plan),
  }),
} satisfies Record<SagaState['kind'], (plan: never, agents: Agents, children: Children) => Made>;
type Kind = keyof typeof kinds;
export const isKind = (kind: unknown): kind is Kind => Object.hasOwn(kinds, String(kind));

/** What a saga is made from; it stands in the first line of its journal, so that a later life can go on. */
export type Plan = { [K in Kind]: { kind: K; plan: Parameters<(typeof kinds)[K]>[0] } }[Kind];

/** Of a saga that begins no others. */
const alone = {
  get deciding(): never {
    throw new VsError('internal', 'this saga was given no way to begin others');
  },
} as unknown as Children;

/** A saga from its plan; `children` where its steps begin others. */
export function buildSaga(what: Plan, state: SagaState, agents: Agents, children?: Children): Saga {
  const make = kinds[what.kind] as (plan: unknown, agents: Agents, children: Children) => Made;
  const made = make(what.plan, agents, children ?? alone);
  if (state.steps.length === 0) {
    state.steps = made.steps.map((step) => ({
      step: step.name,
      state: 'waiting',
      host: step.host,
      ...(step.downtime ? { downtime: true } : {}),
    }));
    const at = state.steps.findIndex((row) => row.step === made.parts?.after) + 1;
    if (made.parts) state.steps.splice(at, 0, ...made.parts.rows);
  }
  const places = [...new Set(made.steps.map((step) => step.host))].filter((host) => host !== 'master');
  return { state, abort: new AbortController(), places, ...made };
}
