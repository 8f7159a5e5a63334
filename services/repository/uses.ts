import type { Repository } from '../../config/repositories.ts';
import { loadRepositories } from '../../config/repositories.ts';
import { backupRecord } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import { writeJson } from '../../shared/store.ts';
import type { Turns } from '../../shared/turns.ts';
import { freeBackup, holdBackup, requireUnheld } from './holds.ts';
import { mountBackup, mountedIn, requireUnmounted, unmountBackup } from './mounts.ts';
import { pathsIn } from './place.ts';
import { recordOf } from './records.ts';

interface Parts {
  context: Pick<Context, 'bus' | 'settings'>;
  inTurn: Turns;
  find: (name: string) => Promise<Repository>;
}

/** Who reads a backup: sagas, and people who have mounted it. In the turns in which it could be removed. */
export function createUses({ context, inTurn, find }: Parts) {
  const handlers: Handlers = {
    'repository.mount': async ({ repository, vserver, id, directory }) => {
      const one = await find(repository);
      return inTurn(`${repository} ${vserver}`, async () => {
        const backup = await recordOf(one, vserver, id);
        await mountBackup(one, { vserver, id, directory });
        const mounted = await mountedIn(one, { vserver, id });
        return { backup, mounted: mounted.map((place) => place.directory) };
      });
    },
    'repository.umount': async ({ repository, vserver, id }) => {
      const one = await find(repository);
      return inTurn(`${repository} ${vserver}`, async () => ({
        unmounted: await unmountBackup(one, { vserver, id }),
      }));
    },
    'repository.mounts': async () => {
      const all = (await loadRepositories(context.settings)).map(async (one) =>
        (await mountedIn(one)).map((place) => ({ repository: one.name, ...place })),
      );
      return { mounts: (await Promise.all(all)).flat() };
    },
  };
  const inner: Handlers = {
    'repository.hold': async ({ repository, vserver, id, saga }) => {
      const one = await find(repository);
      return inTurn(`${repository} ${vserver}`, async () => {
        const backup = await recordOf(one, vserver, id).catch((error: unknown) => {
          if (!(error instanceof VsError) || error.code !== 'not-found') throw error;
          throw new VsError(
            'not-found',
            `backup ${id} of ${vserver} was removed from repository ${repository} meanwhile; see what there is now: vs backup list ${vserver}`,
            { cause: error },
          );
        });
        await holdBackup(one, { vserver, id, saga });
        return { backup };
      });
    },
    'repository.free': async ({ repository, saga }) => {
      await freeBackup(await find(repository), saga);
      return {};
    },
    'repository.prove': async ({ repository, vserver, id, proof }) => {
      const one = await find(repository);
      return inTurn(`${repository} ${vserver}`, async () => {
        const backup = { ...(await recordOf(one, vserver, id)), proof };
        await writeJson(pathsIn(one).record(vserver, id), backupRecord, backup);
        return { backup };
      });
    },
  };
  return {
    handlers,
    inner,
    /** Throws VsError 'conflict' while anybody reads it. */
    async requireUnused(repository: Repository, one: { vserver: string; id: string }): Promise<void> {
      await requireUnheld(context, repository, one);
      await requireUnmounted(repository, one);
    },
  };
}
