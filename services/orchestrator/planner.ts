import { planCreate } from './plans/create.ts';
import { planEvacuate } from './plans/evacuate.ts';
import { planMove } from './plans/move.ts';
import { planRemove } from './plans/remove.ts';
import { planRestoreHost } from './plans/restore-host.ts';

/** The commands that become sagas, and who decides them: one file each. */
export const planners = {
  move: planMove,
  create: planCreate,
  remove: planRemove,
  evacuate: planEvacuate,
  'restore-host': planRestoreHost,
} satisfies Record<string, unknown>;
