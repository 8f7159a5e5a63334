import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { isOwner } from '../../shared/ownership.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Context, Service } from '../../shared/service.ts';
import {
  clearTemporary,
  readJson,
  removeFileDurable,
  renameDurable,
  syncDirectory,
  writeJson,
} from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { type Driver, driverOf } from './drivers.ts';
import { openTrash } from './trash.ts';

const adopted = z.strictObject({ version: z.literal(1), saga: z.string() });
const size = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** The snapshot service: owns the storage below VSERVER_DIR, that is trees, staging, snapshots and trash. */
export function service(context: Context): Service {
  const { settings, host, log } = context;
  const paths = pathsFor(settings);
  const inTurn = createTurns(); // what a saga left at work ends before what comes after it
  let known: Driver | undefined;
  let timer: NodeJS.Timeout | undefined;
  const driver = async () => (known ??= await driverOf(settings.VSERVER_DIR));
  const trash = async () => openTrash(paths.trash, await driver(), settings.TRASH_DAYS);
  const marker = (name: string) => `${settings.STATE_DIR}/adopted/${name}.json`;

  async function space() {
    const { bsize, blocks, bavail } = await statfs(settings.VSERVER_DIR);
    return { total: bsize * blocks, free: bsize * bavail };
  }
  /** Room for `bytes`, if need be from the trash, the oldest first; nothing of it goes when all of it would not do. */
  async function makeRoom(bytes: number): Promise<number> {
    const needed = Math.ceil(bytes * 1.05);
    const before = (await space()).free;
    if (before >= needed) return before;
    const bin = await trash();
    const olds = await Promise.all(
      (await bin.list()).map(async (old) => ({ old, bytes: await bin.size(old) })),
    );
    const inTrash = olds.reduce((sum, one) => sum + one.bytes, 0);
    if (before + inTrash >= needed) {
      for (const { old } of olds) {
        if ((await space()).free >= needed) break;
        await bin.destroy(old);
        await (await driver()).settle(settings.VSERVER_DIR);
      }
    }
    const { free } = await space();
    if (free < needed)
      throw new VsError(
        'failed',
        `no space left in ${settings.VSERVER_DIR} on ${host} (${size(needed)} needed, ${size(free)} free, ${size(inTrash)} in the trash)`,
      );
    return free;
  }
  /** A tree that this host owns, or that is mounted, is never moved away. */
  async function refuseInUse(name: string): Promise<void> {
    if (await isOwner(settings, name))
      throw new VsError('refused', `${host} owns ${name}, so its tree stays where it is`);
    if ((await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${paths.mount(name)} `))
      throw new VsError('conflict', `${name} is still mounted at ${paths.mount(name)} on ${host}`);
  }
  /** Removes a tree so that a power cut does not bring it back: whoever asked for that will not ask again. */
  async function dropDurable(path: string): Promise<void> {
    await (await driver()).remove(path);
    if (await there(dirname(path))) await syncDirectory(dirname(path));
  }
  async function moveTree(from: string, to: string): Promise<void> {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await renameDurable(from, to);
  }
  const there = (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    );

  return {
    name: 'snapshot',
    handlers: {
      'snapshot.info': async () => ({
        storage: (await driver()).storage,
        capabilities: (await driver()).capabilities,
        ...(await space()),
      }),
      'snapshot.usage': async ({ name }) => {
        const tree = paths.vserver(name);
        if (!(await there(tree))) throw new VsError('not-found', `${host} has no vserver ${name}`);
        const [bytes, inodes] = await Promise.all([
          run(['du', '-sx', '--block-size=1', tree], { okCodes: [0, 1], timeoutMs: 600_000 }),
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
          const free = (await there(path)) ? (await space()).free : await makeRoom(bytes);
          await mkdir(path, { recursive: true, mode: 0o700 });
          if (tree) await (await driver()).create(paths.stagingTree(name, saga));
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
          if (!(await there(paths.vserver(name))))
            await (
              await driver()
            ).promote(`${paths.staging(name, saga)}/${label}`, paths.stagingTree(name, saga));
          return {};
        }),
      'snapshot.adopt': ({ name, saga }) =>
        inTurn(name, async () => {
          const target = paths.vserver(name);
          const tree = paths.stagingTree(name, saga);
          if (await there(target)) {
            if ((await readJson(marker(name), adopted))?.saga === saga && !(await there(tree))) return {};
            throw new VsError('conflict', `${host} has a vserver ${name} already`);
          }
          await writeJson(marker(name), adopted, { version: 1, saga });
          await moveTree(tree, target);
          return {};
        }),
      'snapshot.evict': ({ name, saga }) =>
        inTurn(name, async () => {
          await refuseInUse(name);
          const target = paths.vserver(name);
          if (!(await there(target)) || (await readJson(marker(name), adopted))?.saga !== saga) return {};
          await moveTree(target, paths.stagingTree(name, saga));
          return {};
        }),
      'snapshot.trash': ({ name, saga }) =>
        inTurn(name, async () => {
          await refuseInUse(name);
          const tree = paths.vserver(name);
          const config = await readJson(paths.vserverJson(name), vserverConfig);
          const before = (await (await trash()).list()).find((one) => one.name === name && one.saga === saga);
          if (!config && !before) throw new VsError('not-found', `${host} has no vserver ${name}`);
          const entry = await (
            await trash()
          ).take(tree, { name, saga, uuid: config?.uuid ?? before?.uuid ?? '' });
          return { until: entry.until };
        }),
      'snapshot.create': ({ name, saga, label }) =>
        inTurn(name, async () => {
          if (!existsSync(paths.vserver(name)))
            throw new VsError('not-found', `${host} has no vserver ${name}`);
          await (await driver()).snapshot(paths.vserver(name), paths.snapshot(name, saga, label));
          return {};
        }),
      'snapshot.renew': ({ name, saga, label }) =>
        inTurn(name, async () => {
          if (!existsSync(paths.vserver(name)))
            throw new VsError('not-found', `${host} has no vserver ${name}`);
          const path = paths.snapshot(name, saga, label);
          await (await driver()).remove(path);
          await (await driver()).snapshot(paths.vserver(name), path);
          return {};
        }),
      'snapshot.list': async ({ name, saga }) => {
        const entries = await readdir(paths.snapshots(name)).catch(() => []);
        const snapshots = await Promise.all(
          entries.map(async (entry) => {
            const [of = '', label = ''] = entry.split('.');
            return { saga: of, label, ts: await (await driver()).made(`${paths.snapshots(name)}/${entry}`) };
          }),
        );
        return {
          snapshots: snapshots.filter((one) => one.label && (saga === undefined || one.saga === saga)),
        };
      },
      'snapshot.remove': ({ name, saga, label }) =>
        inTurn(name, async () => {
          for (const entry of await readdir(paths.snapshots(name)).catch(() => [])) {
            if (label ? entry === `${saga}.${label}` : entry.startsWith(`${saga}.`))
              await dropDurable(`${paths.snapshots(name)}/${entry}`);
          }
          return {};
        }),
    },
    async start() {
      for (const folder of [`${settings.STATE_DIR}/adopted`, paths.trash]) await clearTemporary(folder);
      const prune = () =>
        void trash()
          .then((one) => one.prune())
          .catch((error: unknown) => log.error({ err: error }, 'trash'));
      prune();
      timer = setInterval(prune, 3_600_000);
    },
    async stop() {
      clearInterval(timer);
    },
  };
}
