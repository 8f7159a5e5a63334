import { stat } from 'node:fs/promises';
import { loadRepositories, isElsewhere } from '../../config/repositories.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { Context, Handlers, Service } from '../../shared/service.ts';
import { openElsewhere } from './elsewhere.ts';
import { infoOf } from './info.ts';
import { backupsOf, byKind } from './kinds.ts';
import { tidy } from './open.ts';
import { repositoryOf, requireUsable } from './place.ts';
import { fitting, newestFirst } from './records.ts';
import { resticKind } from './restic-kind.ts';
import { mountedIn } from './mounts.ts';
import { treeKind } from './tree-kind.ts';

const TIDY_MS = 6 * 3_600_000;

/** The repository service: owns the backups in the repositories of this machine. */
export function service(context: Context): Service {
  const { settings, log } = context;
  const restic = resticKind(context);
  const elsewhere = openElsewhere(context);
  const { forward } = elsewhere;
  let timer: NodeJS.Timeout | undefined;
  const find = (name: string) => repositoryOf(settings, name);
  const tree = treeKind(context, find);

  async function tidyAll(): Promise<void> {
    for (const repository of await loadRepositories(settings)) {
      if (isElsewhere(repository)) continue;
      if (!(await stat(repository.path).catch(() => undefined))) continue;
      await requireUsable(repository)
        .then(() => (repository.kind === 'restic' ? restic.tidy(repository) : tidy(repository, Date.now())))
        .catch((error: unknown) => log.warn({ error: String(error) }, `repository ${repository.name}`));
    }
  }

  const shared: Handlers = {
    'repository.info': async ({ repository }) => {
      const all = (await loadRepositories(settings)).filter(
        ({ name }) => repository === undefined || name === repository,
      );
      const found = all.map((one) =>
        isElsewhere(one)
          ? elsewhere.info(one).catch((error: unknown) => ({
              name: one.name,
              kind: one.kind,
              path: '',
              host: one.host,
              fault: (error as Error).message,
            }))
          : infoOf(one),
      );
      return { repositories: await Promise.all(found) };
    },
    'repository.mounts': async () => {
      const all = (await loadRepositories(settings)).map(async (one) =>
        isElsewhere(one)
          ? elsewhere.mounts(one).catch(() => []) // who is away has nothing mounted that anybody could see
          : (await mountedIn(one)).map((place) => ({ repository: one.name, ...place })),
      );
      return { mounts: (await Promise.all(all)).flat() };
    },
    'repository.list': async ({ repository, vserver }) => {
      const all = await loadRepositories(settings);
      if (repository !== undefined) await find(repository);
      const backups: BackupRecord[] = [];
      const faults: string[] = [];
      const some = all.filter(({ name }) => repository === undefined || name === repository);
      // side by side, so that one that is far away or does not answer holds up no other
      const found = some.map(async (one) => {
        if (isElsewhere(one)) return elsewhere.list(one, vserver);
        await requireUsable(one);
        return backupsOf(one, vserver);
      });
      for (const result of await Promise.allSettled(found))
        if (result.status === 'fulfilled') {
          backups.push(...result.value.backups);
          faults.push(...result.value.faults);
        } else faults.push(result.reason instanceof Error ? result.reason.message : String(result.reason));
      return { ...fitting(backups.toSorted(newestFirst)), faults: faults.slice(0, 100) };
    },
  };
  return {
    name: 'repository',
    handlers: byKind(settings, { tree: tree.handlers, restic: restic.handlers }, forward, shared),
    // who could seal what has not come whole would have a backup that is none
    inner: byKind(settings, { tree: tree.inner, restic: restic.inner }, forward),
    async start() {
      const look = () =>
        void tidyAll().catch((error: unknown) => log.warn({ error: String(error) }, 'repositories'));
      look();
      timer = setInterval(look, TIDY_MS);
    },
    async stop() {
      clearInterval(timer);
      restic.stop();
    },
  };
}
