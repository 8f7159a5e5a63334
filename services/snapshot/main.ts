import { lstat, mkdir, readdir, realpath, rename, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { isOwner, readOwnership } from '../../shared/ownership.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Context, Service } from '../../shared/service.ts';
import {
  clearTemporaries,
  exists,
  readJson,
  removeFileDurable,
  renameDurable,
  syncDirectory,
  writeJson,
} from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { describe, listCopies } from './copies.ts';
import { type Driver, driverOf } from './drivers.ts';
import { keptHandlers } from './kept-commands.ts';
import { keptRoom } from './kept-room.ts';
import { openKept } from './kept.ts';
import { keepLimit, keepLimits, limitHandlers } from './limit-commands.ts';
import { requireUnmounted } from './mounts.ts';
import { type Quota, quotaOf } from './quota.ts';
import { rollbackHandlers } from './rollback-commands.ts';
import { openRoom } from './room.ts';
import { keepSchedule } from './schedule.ts';
import { sagaSnapshots } from './saga-snapshots.ts';
import { createTaker } from './take.ts';
import { trashHandlers } from './trash-commands.ts';
import { type Trash, openTrash } from './trash.ts';

const adopted = z.strictObject({ version: z.literal(1), saga: z.string() });

/** How often the trash is looked at: what is past its time, and the free space (ms). */
const TIDY_MS = 300_000;

/** How often snapshots that can fill are looked after (ms). */
const WATCH_MS = 2000;

/** The snapshot service: owns the storage below VSERVER_DIR, that is trees, staging, snapshots and trash. */
export function service(context: Context): Service {
  const { settings, host, log, bus } = context;
  const paths = pathsFor(settings);
  const inTurn = createTurns(); // what a saga left at work ends before what comes after it
  let known: Driver | undefined;
  let unmounted: string[] = [];
  let told = '';
  let timer: NodeJS.Timeout | undefined;
  let watching: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let busy: Promise<void> | undefined;
  const driver = async () => (known ??= await driverOf(settings));
  let limiting: Quota | undefined;
  const quota = async () => (limiting ??= quotaOf(await driver(), settings.VSERVER_DIR));
  let opened: Trash | undefined;
  const trash = async () => {
    const storage = await driver();
    return (opened ??= openTrash(paths.trash, storage, settings.TRASH_DAYS, (file, error) =>
      log.error({ file, error: String(error) }, 'an entry of the trash cannot be read'),
    ));
  };
  const kept = openKept(paths.kept, driver, (file, error) =>
    log.error({ file, error: String(error) }, 'the record of a snapshot cannot be read'),
  );
  const room = openRoom(context, driver, trash, keptRoom(context, kept));
  const parts = { context, paths, driver, kept, inTurn };
  const taker = createTaker(parts);
  const schedule = keepSchedule({ ...parts, taker });
  const marker = (name: string) => `${settings.STATE_DIR}/adopted/${name}.json`;

  /** A tree that this host owns, or that is mounted, is never moved away. */
  async function refuseInUse(name: string): Promise<void> {
    if (await isOwner(settings, name))
      throw new VsError('refused', `${host} owns ${name}, so its tree stays where it is`);
    await requireUnmounted(name, paths.mount(name), host);
  }
  /** Removes a tree so that a power cut does not bring it back: whoever asked for that will not ask again. */
  async function dropDurable(path: string): Promise<void> {
    await (await driver()).remove(path);
    if (await exists(dirname(path))) await syncDirectory(dirname(path));
  }
  async function moveTree(from: string, to: string): Promise<void> {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    // a link to a volume that is not mounted would be replaced without a word
    if (await lstat(to).catch(() => undefined)) throw new VsError('conflict', `${host} has ${to} already`);
    await renameDurable(from, to);
  }
  /** A volume that has come into its place gets its size, which nobody waits for: a start asks for its limit itself. */
  const size = (name: string): void =>
    void keepLimit(paths, quota, name).catch((error: unknown) =>
      log.warn({ vserver: name, error: String(error) }, 'the size of a disk'),
    );
  /** What is wrong with the storage, and an alert while it is. */
  async function faultsNow(): Promise<{ faults?: string[] }> {
    const found = [...unmounted, ...((await (await driver()).faults?.()) ?? [])];
    const message = found.join('; ');
    if (message !== told)
      bus.alert('snapshot', 'storage', message ? { ts: Date.now(), severity: 'warning', message } : null);
    told = message;
    return found.length > 0 ? { faults: found } : {};
  }
  /** The snapshots of a vserver go with its name; they are kept apart by their sagas. */
  async function moveSnapshots(name: string, to: string): Promise<void> {
    const from = paths.snapshots(name);
    const entries = await readdir(from).catch(() => undefined);
    if (!entries) return;
    await mkdir(paths.snapshots(to), { recursive: true, mode: 0o700 });
    for (const entry of entries) await rename(join(from, entry), join(paths.snapshots(to), entry));
    await rmdir(from);
  }

  /** What only the master keeps: copies that never run. */
  const copies: Service['handlers'] = {
    'snapshot.describe': ({ name, saga, copy }) =>
      inTurn(name, async () => {
        await describe(paths, name, saga, copy);
        return {};
      }),
    'snapshot.copies': async ({ name }) => ({ copies: await listCopies(settings.VSERVER_DIR, name) }),
  };

  return {
    name: 'snapshot',
    handlers: {
      'snapshot.info': async () => ({
        storage: (await driver()).storage,
        capabilities: (await driver()).capabilities,
        quota: { how: (await quota()).how, missing: await (await quota()).missing() },
        ...(await room.space()),
        ...(await faultsNow()),
        trash: (await (await trash()).list()).reduce((sum, one) => sum + (one.bytes ?? 0), 0),
      }),
      'snapshot.usage': async ({ name }) => {
        if (!(await exists(paths.vserver(name))))
          throw new VsError('not-found', `${host} has no vserver ${name}`);
        const tree = await realpath(paths.vserver(name));
        const { used } = await (await quota()).look(paths.vserver(name)); // the kernel counts it where it is limited
        const [bytes, inodes] = await Promise.all([
          used === undefined
            ? run(['du', '-sx', '--block-size=1', tree], { okCodes: [0, 1], timeoutMs: 600_000 })
            : { stdout: String(used) },
          run(['du', '-sx', '--inodes', tree], { okCodes: [0, 1], timeoutMs: 600_000 }),
        ]);
        return {
          bytes: Number.parseInt(bytes.stdout, 10),
          files: Number.parseInt(inodes.stdout, 10),
          nested: await (await driver()).nested(tree),
        };
      },
      'snapshot.allocate': ({ name, saga, bytes, tree }) =>
        inTurn(name, async () => {
          const path = paths.staging(name, saga);
          const free = (await exists(path)) ? (await room.space()).free : await room.make(bytes);
          await mkdir(path, { recursive: true, mode: 0o700 });
          if (tree) await (await driver()).create(paths.stagingTree(name, saga), bytes);
          return { path, free };
        }),
      'snapshot.discard': ({ name, saga }) =>
        inTurn(name, async () => {
          await dropDurable(paths.staging(name, saga));
          if ((await readJson(marker(name), adopted))?.saga === saga) await removeFileDurable(marker(name));
          return {};
        }),
      'snapshot.promote': ({ name, saga, label }) =>
        inTurn(name, async () => {
          // once it was adopted it is not made again; another copy in its place is one that will be put aside
          const adoptedBy = (await readJson(marker(name), adopted))?.saga;
          if (!(await exists(paths.vserver(name))) || adoptedBy !== saga)
            await (
              await driver()
            ).promote(`${paths.staging(name, saga)}/${label}`, paths.stagingTree(name, saga));
          return {};
        }),
      'snapshot.adopt': ({ name, saga, label }) =>
        inTurn(name, async () => {
          const target = paths.vserver(name);
          const tree = paths.stagingTree(name, saga);
          if (await exists(target)) {
            if ((await readJson(marker(name), adopted))?.saga === saga && !(await exists(tree))) return {};
            throw new VsError('conflict', `${host} has a vserver ${name} already`);
          }
          if (label && !(await exists(tree)) && !(await exists(`${paths.staging(name, saga)}/${label}`)))
            throw new VsError('failed', `the last copy of ${name} (${label}) is not whole on ${host}`);
          await writeJson(marker(name), adopted, { version: 1, saga });
          // a tree that was put back by an undo is what there is; else one step makes the snapshot the tree in its place
          if (label && !(await exists(tree)))
            await (await driver()).place(`${paths.staging(name, saga)}/${label}`, target);
          else await moveTree(tree, target);
          if ((await driver()).quota) size(name);
          return {};
        }),
      'snapshot.evict': ({ name, saga }) =>
        inTurn(name, async () => {
          await refuseInUse(name);
          const target = paths.vserver(name);
          if (!(await exists(target)) || (await readJson(marker(name), adopted))?.saga !== saga) return {};
          await moveTree(target, paths.stagingTree(name, saga));
          return {};
        }),
      'snapshot.trash': ({ name, saga, why }) =>
        inTurn(name, async () => {
          await refuseInUse(name);
          const bin = await trash();
          const config = await readJson(paths.vserverJson(name), vserverConfig);
          const before = await bin.find({ name, saga });
          const own = await readOwnership(settings, name);
          if (!config && !before) {
            // a repeat, after it was in the trash and has gone from there
            if (own?.saga === saga && !own.owner) return { until: Date.now() };
            throw new VsError('not-found', `${host} has no vserver ${name}`);
          }
          const mine = own?.uuid === config?.uuid ? own : undefined;
          const to = mine?.releasedTo ?? 'trash';
          const entry = await bin.take(paths.vserver(name), {
            name,
            saga,
            uuid: config?.uuid ?? before?.uuid ?? '',
            why: why ?? (to === 'trash' ? 'removed' : `moved to ${to}`),
            only: to === 'trash' && mine !== undefined,
            ...(mine ? { epoch: mine.epoch } : {}),
            ...(config ? { address: config.address } : {}),
            ...(config?.address6 ? { address6: config.address6 } : {}),
          });
          void bin.measure(entry).catch((error: unknown) => log.warn({ error: String(error) }, 'trash'));
          return { until: entry.until };
        }),
      ...trashHandlers({ context, paths, inTurn, trash, room, kept }),
      ...limitHandlers({ context, paths, quota }),
      'snapshot.restage': ({ name, saga, to }) =>
        inTurn(name, async () => {
          const tree = paths.stagingTree(to, saga);
          if (await exists(paths.vserver(name))) {
            await refuseInUse(name);
            for (const path of [paths.vserver(to), tree])
              if (await exists(path)) throw new VsError('conflict', `${host} has ${path} already`);
            await moveTree(paths.vserver(name), tree);
          } else if (!(await exists(tree)) && (await readJson(marker(to), adopted))?.saga !== saga)
            throw new VsError('not-found', `${host} has no vserver ${name}`);
          await moveSnapshots(name, to);
          return {};
        }),
      ...sagaSnapshots({ ...parts, dropDurable }),
      ...keptHandlers({ ...parts, taker, room }),
      ...rollbackHandlers(parts),
      ...(host === 'master' ? copies : {}),
    },
    /** Trees that lie on volumes of their own are mounted before anybody looks for vservers. */
    async prepare() {
      unmounted = (await (await driver()).prepare?.()) ?? [];
      for (const fault of unmounted) log.error(fault);
    },
    async start() {
      const storage = await driver();
      const { watch } = storage;
      if (watch)
        watching = setInterval(() => {
          looking ??= watch()
            .catch((error: unknown) => log.error({ err: error }, 'snapshots'))
            .finally(() => (looking = undefined));
        }, WATCH_MS);
      for (const directory of [dirname(marker('x')), paths.trash]) await clearTemporaries(directory);
      const tidy = () => {
        busy ??= room
          .tidy()
          .then(async () => (await quota()).tidy())
          .catch((error: unknown) => log.error({ err: error }, 'trash'))
          .finally(() => (busy = undefined));
      };
      void kept.clear().catch((error: unknown) => log.error({ err: error }, 'snapshots'));
      tidy();
      if (host !== 'master') schedule.start();
      if (host !== 'master')
        void keepLimits(settings, paths, quota).catch((error: unknown) =>
          log.error({ err: error }, 'disk limits'),
        );
      timer = setInterval(tidy, TIDY_MS);
    },
    async stop() {
      clearInterval(timer);
      clearInterval(watching);
      schedule.stop();
    },
  };
}
