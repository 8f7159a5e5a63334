import type { Context, Service } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { basename } from 'node:path';
import { listArchives, readyDirectory, removeArchive, repositoryFor, takenOf } from './kept.ts';
import { takeArchive } from './take.ts';

/** The service of the master's own archives, in the process of the scheduler, which alone asks it. */
export function service({ settings, version }: Context): Service {
  const inTurn = createTurns();
  return {
    name: 'master-archive',
    handlers: {
      'master-archive.keep': ({ repository }) =>
        inTurn(repository, async () => {
          const one = await repositoryFor(settings, repository);
          const { file, bytes } = await takeArchive(settings, await readyDirectory(one), { version });
          return { archive: { repository, file: basename(file), taken: takenOf(file), bytes } };
        }),
      'master-archive.list': async ({ repository }) => ({
        archives: await listArchives(await repositoryFor(settings, repository)),
      }),
      'master-archive.remove': ({ repository, file }) =>
        inTurn(repository, async () => ({
          removed: await removeArchive(await repositoryFor(settings, repository), file),
        })),
    },
  };
}
