import type { Repository } from '../../config/repositories.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import { freeBackup, holdBackup, requireUnheld } from './holds.ts';
import { mountBackup, mountedIn, requireUnmounted, unmountBackup } from './mounts.ts';

interface Parts<R extends Repository> {
  context: Pick<Context, 'bus' | 'host'>;
  inTurn: Turns;
  find: (name: string) => Promise<R>;
  recordOf: (repository: R, vserver: string, id: string) => Promise<BackupRecord>;
  /** Keeps what was found of it. */
  note: (repository: R, record: BackupRecord) => Promise<unknown>;
  /** Of a kind whose backups lie nowhere as trees: brings one to where it is shown, and takes it away. */
  bring?: (repository: R, of: { vserver: string; id: string }) => Promise<void>;
  take?: (repository: R, of: { vserver: string; id: string }) => Promise<void>;
}

/** Who reads a backup: sagas, and people who have mounted it. In the turns in which it could be removed. */
export function createUses<R extends Repository>(parts: Parts<R>) {
  const { context, inTurn, find, recordOf, note, bring, take } = parts;
  const handlers: Handlers = {
    'repository.mount': async ({ repository, vserver, id, directory }) => {
      const one = await find(repository);
      return inTurn(`${repository} ${vserver}`, async () => {
        const backup = await recordOf(one, vserver, id);
        const isThere = (await mountedIn(one, { vserver, id })).length > 0;
        if (!isThere) await bring?.(one, { vserver, id });
        await mountBackup(one, { vserver, id, directory });
        const mounted = await mountedIn(one, { vserver, id });
        return { backup, mounted: mounted.map((place) => place.directory) };
      });
    },
    'repository.umount': async ({ repository, vserver, id }) => {
      const one = await find(repository);
      return inTurn(`${repository} ${vserver}`, async () => {
        const unmounted = await unmountBackup(one, { vserver, id });
        await take?.(one, { vserver, id });
        return { unmounted };
      });
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
        await note(one, backup);
        return { backup };
      });
    },
  };
  return {
    handlers,
    inner,
    /** Throws VsError 'conflict' while anybody reads it. */
    async requireUnused(repository: R, one: { vserver: string; id: string }): Promise<void> {
      await requireUnheld(context, repository, one);
      await requireUnmounted(repository, one);
    },
  };
}
