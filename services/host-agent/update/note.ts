import { join } from 'node:path';
import { z } from 'zod';
import type { Settings } from '../../../config/settings.ts';
import { packageInfo } from '../../../shared/contract/update.ts';
import { readJson, writeJson } from '../../../shared/store.ts';

/** `update.json` in STATE_DIR: what the update of this host is about, for the agent that starts after it, of whichever version. */
const updateNote = z.looseObject({
  version: z.literal(1),
  saga: z.string(),
  from: z.string(),
  to: z.string(),
  package: packageInfo,
  /** To go back to. */
  back: packageInfo.optional(),
  started: z.int(),
  /** When the version before comes back by itself. */
  backAt: z.int().optional(),
  /** The version that is installed stays. */
  settled: z.boolean().optional(),
  /** The version of the agent that has told its end as an event. */
  told: z.string().optional(),
});
export type UpdateNote = z.infer<typeof updateNote>;

const fileOf = (settings: Pick<Settings, 'STATE_DIR'>) => join(settings.STATE_DIR, 'update.json');
/** What dpkg says. */
export const logOf = (settings: Pick<Settings, 'STATE_DIR'>): string =>
  join(settings.STATE_DIR, 'update.log');

export const readNote = (settings: Pick<Settings, 'STATE_DIR'>): Promise<UpdateNote | undefined> =>
  readJson(fileOf(settings), updateNote);
export const writeNote = (settings: Pick<Settings, 'STATE_DIR'>, note: UpdateNote): Promise<void> =>
  writeJson(fileOf(settings), updateNote, note);
