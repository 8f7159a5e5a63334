import { stat } from 'node:fs/promises';
import { loadRepositories } from '../../config/repositories.ts';
import { type BackupRecord, backupRecord } from '../../shared/contract/backup.ts';
import type { RepositoryInfo } from '../../shared/contract/repository.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { compareManifest, sumOf } from './manifest.ts';
import { discardBackup, openBackup, placeIn, removeBackup, sealBackup, tidy } from './open.ts';
import { pathsIn, repositoryOf, requireUsable, storageOf } from './place.ts';
import { listRecords, newestFirst, recordOf } from './records.ts';
import { createUses } from './uses.ts';

/** A reply has less than 1 MB (the broker's packets): so many bytes of records fit. */
const REPLY_BYTES = 900_000;
const TIDY_MS = 6 * 3_600_000;

/** As many of the newest as fit into a reply. */
export function fitting(backups: BackupRecord[]): { backups: BackupRecord[]; leftOff?: number } {
  let left = REPLY_BYTES;
  const end = backups.findIndex((one) => (left -= JSON.stringify(one).length) < 0);
  return end < 0 ? { backups } : { backups: backups.slice(0, end), leftOff: backups.length - end };
}

/** The repository service: owns the backups in the repositories of this machine. */
export function service(context: Context): Service {
  const { settings, log } = context;
  const inTurn = createTurns();
  let timer: NodeJS.Timeout | undefined;
  const find = (name: string) => repositoryOf(settings, name);
  const uses = createUses({ context, inTurn, find });

  async function infoOf(repository: Awaited<ReturnType<typeof find>>): Promise<RepositoryInfo> {
    const { name, kind, path } = repository;
    try {
      await requireUsable(repository);
      const { backups } = await listRecords(repository);
      return { name, kind, path, ...(await storageOf(repository)), backups: backups.length };
    } catch (error) {
      return { name, kind, path, fault: (error as Error).message };
    }
  }
  async function tidyAll(): Promise<void> {
    for (const repository of await loadRepositories(settings)) {
      if (!(await stat(repository.path).catch(() => undefined))) continue;
      await requireUsable(repository)
        .then(() => tidy(repository, Date.now()))
        .catch((error: unknown) => log.warn({ error: String(error) }, `repository ${repository.name}`));
    }
  }

  return {
    name: 'repository',
    handlers: {
      'repository.info': async () => ({
        repositories: await Promise.all((await loadRepositories(settings)).map(infoOf)),
      }),
      'repository.list': async ({ repository, vserver }) => {
        const all = await loadRepositories(settings);
        if (repository !== undefined) await find(repository);
        const backups: BackupRecord[] = [];
        const faults: string[] = [];
        for (const one of all.filter(({ name }) => repository === undefined || name === repository)) {
          try {
            await requireUsable(one);
            const found = await listRecords(one, vserver);
            backups.push(...found.backups);
            faults.push(...found.faults);
          } catch (error) {
            faults.push((error as Error).message);
          }
        }
        return { ...fitting(backups.toSorted(newestFirst)), faults: faults.slice(0, 100) };
      },
      'repository.offer': async ({ repository, vserver, id }) => {
        const one = await find(repository);
        const backup = await recordOf(one, vserver, id);
        const tree = pathsIn(one).tree(vserver, id);
        const config = await readJson(`${tree}/vserver.json`, vserverConfig);
        if (!config) throw new VsError('failed', `backup ${id} of ${vserver} has no vserver.json`);
        return { backup, config, tree };
      },
      'repository.verify': async ({ repository, vserver, id }) => {
        const one = await find(repository);
        const paths = pathsIn(one);
        const record = await recordOf(one, vserver, id);
        const manifest = paths.manifest(vserver, id);
        const sum = await sumOf(manifest).catch(() => undefined);
        const damaged =
          sum === undefined
            ? 'manifest is gone'
            : sum === record['manifest']
              ? []
              : 'manifest has another content than it had';
        const found =
          sum === undefined
            ? { files: 0, bytes: 0, faults: [] }
            : await compareManifest(paths.tree(vserver, id), manifest).catch((error: unknown) => ({
                files: 0,
                bytes: 0,
                faults: [(error as Error).message.slice(0, 480)],
              }));
        const faults = [damaged, found.faults].flat().slice(0, 100);
        return inTurn(`${repository} ${vserver}`, async () => {
          const now = { ...(await recordOf(one, vserver, id)), verified: Date.now(), faults };
          await writeJson(paths.record(vserver, id), backupRecord, now);
          return { backup: now, files: found.files, bytes: found.bytes };
        });
      },
      'repository.protect': async ({ repository, vserver, id, on }) => {
        const one = await find(repository);
        return inTurn(`${repository} ${vserver}`, async () => {
          const backup = { ...(await recordOf(one, vserver, id)), protected: on };
          await writeJson(pathsIn(one).record(vserver, id), backupRecord, backup);
          return { backup };
        });
      },
      'repository.remove': async ({ repository, vserver, id }) => {
        const one = await find(repository);
        return inTurn(`${repository} ${vserver}`, async () => {
          const record = await recordOf(one, vserver, id).catch(() => undefined); // a damaged one can go
          if (record?.protected)
            throw new VsError(
              'refused',
              `backup ${id} of ${vserver} is protected; first: vs backup unprotect ${vserver} ${id}`,
            );
          await uses.requireUnused(one, { vserver, id });
          return { removed: await removeBackup(one, vserver, id) };
        });
      },
      ...uses.handlers,
    },
    // who could seal what has not come whole would have a backup that is none
    inner: {
      ...uses.inner,
      'repository.open': async (args) => {
        const one = await find(args.repository);
        return inTurn(`${args.repository} ${args.name}`, () => openBackup(one, args));
      },
      'repository.place': async (args) => placeIn(await find(args.repository), args),
      'repository.seal': async (args) => {
        const one = await find(args.repository);
        return inTurn(`${args.repository} ${args.name}`, async () => ({
          backup: await sealBackup(one, args),
        }));
      },
      'repository.discard': async (args) => {
        const one = await find(args.repository);
        return inTurn(`${args.repository} ${args.name}`, async () => {
          await discardBackup(one, args);
          return {};
        });
      },
    },
    async start() {
      const look = () =>
        void tidyAll().catch((error: unknown) => log.warn({ error: String(error) }, 'repositories'));
      look();
      timer = setInterval(look, TIDY_MS);
    },
    async stop() {
      clearInterval(timer);
    },
  };
}
