import type { Repository } from '../../config/repositories.ts';
import { backupRecord } from '../../shared/contract/backup.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import { readJson, writeJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { compareManifest, sumOf } from './manifest.ts';
import { discardBackup, openBackup, placeIn, removeBackup, sealBackup } from './open.ts';
import { pathsIn } from './place.ts';
import { recordOf } from './records.ts';
import { createUses } from './uses.ts';

/** What the repositories of the kind tree do for each command; those of the table of kinds (kinds.ts). */
export function treeKind(
  context: Pick<Context, 'bus' | 'host'>,
  find: (name: string) => Promise<Repository>,
) {
  const inTurn = createTurns();
  const uses = createUses({
    context,
    inTurn,
    find,
    recordOf,
    note: (one, record) => writeJson(pathsIn(one).record(record.vserver, record.id), backupRecord, record),
  });
  const handlers: Handlers = {
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
    'repository.fetch': async ({ repository, vserver, id }) => {
      const one = await find(repository);
      await recordOf(one, vserver, id);
      return { tree: pathsIn(one).tree(vserver, id) }; // it lies there as it is
    },
    'repository.release': () => Promise.resolve({}),
    ...uses.handlers,
  };
  const inner: Handlers = {
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
    ...uses.inner,
  };
  return { handlers, inner };
}
