import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { clearTemporaries, readJson, renameDurable, writeJson } from '../../shared/store.ts';
import { type AlerterState, alerterState, emptyState } from './state.ts';

/**
 * The state on disk. What is decided is written before anything of it is done, and read again after a restart. A damaged
 * file is put aside: alerts that fire are then told anew. `stalled`: for tests, how long each write takes longer (ms).
 */
export async function openKeep(directory: string, stalled = 0) {
  const file = join(directory, 'state.json');
  let damaged: string | undefined;
  let text = '';
  await clearTemporaries(directory);
  const found = await readJson(file, alerterState).catch(async () => {
    damaged = `${file}.damaged-${Date.now()}`;
    await renameDurable(file, damaged);
    return undefined;
  });
  let state: AlerterState = found ?? emptyState();
  return {
    now: () => state,
    damaged: () => damaged,
    /** Takes over the next state once it is on disk; one that is the same is not written. Throws, and keeps the old one, when it cannot be written. */
    async set(next: AlerterState): Promise<void> {
      const wanted = JSON.stringify(next);
      if (wanted !== text) {
        await writeJson(file, alerterState, next);
        if (stalled > 0) await sleep(stalled);
      }
      state = next;
      text = wanted;
    },
  };
}
export type Keep = Awaited<ReturnType<typeof openKeep>>;
