import { join } from 'node:path';
import type { z } from 'zod';
import type { trashEntry } from '../../shared/contract/snapshot.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context, Service } from '../../shared/service.ts';
import { readJson } from '../../shared/store.ts';
import type { createTurns } from '../../shared/turns.ts';
import type { openRoom } from './room.ts';
import type { Kept } from './kept.ts';
import type { Trash, TrashEntry } from './trash.ts';

interface Parts {
  context: Context;
  paths: Paths;
  inTurn: ReturnType<typeof createTurns>;
  trash: () => Promise<Trash>;
  room: ReturnType<typeof openRoom>;
  kept: Kept;
}

/** An entry as others see it. */
function shown(
  { saga, version: _version, ending: _ending, ...one }: TrashEntry,
  snapshots: number,
): z.infer<typeof trashEntry> {
  return { ...one, entry: saga, ...(snapshots > 0 ? { snapshots } : {}) };
}

/** The commands about what lies in the trash. */
export function trashHandlers({ context, paths, inTurn, trash, room, kept }: Parts) {
  const { host } = context;
  const beside = (name: string, saga: string) => join(paths.staging(name, saga), 'entry.json');
  return {
    'snapshot.trashed': async ({ name, entry }) => {
      const bin = await trash();
      const entries = (await bin.list()).filter(
        (one) => (name === undefined || one.name === name) && (entry === undefined || one.saga === entry),
      );
      return {
        entries: await Promise.all(
          entries.map(async (one) => ({
            ...shown(one, (await kept.list(one.uuid)).length),
            ...(entry === undefined
              ? {}
              : { config: await readJson(join(bin.tree(one), 'vserver.json'), vserverConfig) }),
          })),
        ),
      };
    },
    'snapshot.empty': async ({ entries }, call) => {
      let [emptied, freed] = [0, 0];
      for (const { name, entry } of entries) {
        const one = await (await trash()).find({ name, saga: entry });
        if (!one) continue;
        freed += await room.empty([one], `${call.issuer} emptied it`);
        emptied++;
      }
      return { emptied, freed };
    },
    'snapshot.recall': ({ name, saga, of, entry }) =>
      inTurn(of, async () => {
        const back = await (
          await trash()
        ).recall({ name: of, saga: entry }, paths.stagingTree(name, saga), beside(name, saga));
        if (!back)
          throw new VsError('not-found', `the trash of ${host} has no entry ${entry} of ${of} (any more)`);
        return {};
      }),
    'snapshot.return': ({ name, saga, of, entry }) =>
      inTurn(of, async () => {
        await (
          await trash()
        ).giveBack({ name: of, saga: entry }, paths.stagingTree(name, saga), beside(name, saga));
        return {};
      }),
  } satisfies Service['handlers'];
}
