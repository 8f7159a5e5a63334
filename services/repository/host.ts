import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TreeRepository } from '../../config/repositories.ts';
import { repositoryName } from '../../shared/contract/backup.ts';
import { VsError } from '../../shared/errors.ts';
import { isMounted } from '../../shared/mount.ts';
import type { Context, Service } from '../../shared/service.ts';
import { infoOf } from './info.ts';
import { mountedIn } from './mounts.ts';
import { tidy } from './open.ts';
import { requireUsable } from './place.ts';
import { fitting, listRecords, newestFirst } from './records.ts';
import { treeKind } from './tree-kind.ts';

const TIDY_MS = 6 * 3_600_000;

/** The repositories of a host, BACKUP_DIR/NAME: the master asks for what it does with those of its own. Which there are, its repositories.conf says. */
export function service(context: Context): Service {
  const { settings, host, log } = context;
  const { BACKUP_DIR, BACKUP_MOUNT } = settings;
  const placed = (name: string): TreeRepository => ({
    name,
    kind: 'tree',
    path: join(BACKUP_DIR, repositoryName.parse(name)),
    mount: false,
  });
  let timer: NodeJS.Timeout | undefined;

  async function find(name: string): Promise<TreeRepository> {
    if (BACKUP_MOUNT === 'yes' && !(await isMounted(BACKUP_DIR)))
      throw new VsError(
        'refused',
        `nothing is mounted at ${BACKUP_DIR} (BACKUP_DIR) of ${host}, where repository ${name} is: mount it`,
      );
    const one = placed(name);
    await requireUsable(one);
    return one;
  }
  /** What was made here; nothing is made by a look. */
  async function all(): Promise<TreeRepository[]> {
    const entries = await readdir(BACKUP_DIR).catch(() => [] as string[]);
    return entries.filter((entry) => repositoryName.safeParse(entry).success).map(placed);
  }
  const kind = treeKind(context, find);
  const look = async () => {
    for (const one of await all())
      await tidy(one, Date.now()).catch((error: unknown) =>
        log.warn({ error: String(error) }, `repository ${one.name}`),
      );
  };
  return {
    name: 'repository-host',
    handlers: {
      ...kind.handlers,
      ...kind.inner,
      'repository.info': async ({ repository }) => {
        const some = repository === undefined ? await all() : [await find(repository)];
        return { repositories: await Promise.all(some.map(infoOf)) };
      },
      'repository.list': async ({ repository, vserver }) => {
        const some = repository === undefined ? await all() : [await find(repository)];
        const found = await Promise.all(some.map((one) => listRecords(one, vserver)));
        return {
          ...fitting(found.flatMap(({ backups }) => backups).toSorted(newestFirst)),
          faults: found.flatMap(({ faults }) => faults).slice(0, 100),
        };
      },
      'repository.mounts': async () => {
        const found = (await all()).map(async (one) =>
          (await mountedIn(one)).map((place) => ({ repository: one.name, ...place })),
        );
        return { mounts: (await Promise.all(found)).flat() };
      },
    },
    async start() {
      const looks = () =>
        void look().catch((error: unknown) => log.warn({ error: String(error) }, 'repositories'));
      looks();
      timer = setInterval(looks, TIDY_MS);
    },
    stop() {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}
