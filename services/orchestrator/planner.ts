import { planCreate } from './plans/create.ts';
import { planMove } from './plans/move.ts';
import { planRemove } from './plans/remove.ts';

/** The commands that become sagas, and who decides them: one file each. */
export const planners = {
  move: planMove,
  create: planCreate,
  remove: planRemove,
} satisfies Record<string, unknown>;
