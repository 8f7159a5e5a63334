import type { ResticRepository } from '../../config/repositories.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Handlers } from '../../shared/service.ts';
import { exists, removeFileDurable, writeFileDurable } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import { repositoryOf } from './place.ts';
import { checkRestic } from './restic-check.ts';
import {
  configIn,
  fetchRestic,
  fetchedTree,
  hideRestic,
  releaseRestic,
  showRestic,
  tidyShown,
} from './restic-fetch.ts';
import { dropFacts, noteFacts, pruneFile, resticBackup, resticBackups } from './restic-list.ts';
import { discardRestic, openRestic, placeRestic, sealRestic, tidyRestic } from './restic-open.ts';
import { restic } from './restic.ts';
import { createUses } from './uses.ts';

const LONG_MS = 48 * 3_600_000;
/** So long after the last removal (ms) its space is given back: a run of the retention removes many. */
const SOON_MS = 60_000;

/** What the repositories of the kind restic do for each command; those of the table of kinds (kinds.ts). */
export function resticKind(context: Pick<Context, 'bus' | 'host' | 'settings' | 'log'>) {
  const { settings, log } = context;
  // restic wants a repository for itself to change tags, to forget and to prune
  const inTurn = createTurns();
  const reading = new Map<string, number>();
  const pruning = new Map<string, Promise<void>>();
  const timers = new Map<string, NodeJS.Timeout>();

  async function find(name: string): Promise<ResticRepository> {
    const found = await repositoryOf(settings, name);
    if (found.kind !== 'restic') throw new VsError('internal', `repository ${name} is none of restic`);
    return found;
  }
  /** Nothing is pruned meanwhile: these reads take no lock in the repository, which may be one that forbids to write. */
  async function read<T>(name: string, work: () => Promise<T>): Promise<T> {
    for (let running = pruning.get(name); running; running = pruning.get(name)) await running;
    reading.set(name, (reading.get(name) ?? 0) + 1);
    try {
      return await work();
    } finally {
      reading.set(name, (reading.get(name) ?? 1) - 1);
    }
  }
  /** Gives the space back of what was removed; not while somebody reads, then the next look does it. */
  const prune = (repository: ResticRepository): Promise<void> =>
    inTurn(repository.name, async () => {
      const { name } = repository;
      if ((reading.get(name) ?? 0) > 0 || !(await exists(pruneFile(repository)))) return;
      const work = (async () => {
        await restic(repository, ['prune', '--quiet'], { gently: true, timeoutMs: LONG_MS });
        await removeFileDurable(pruneFile(repository));
      })();
      pruning.set(
        name,
        work.then(
          () => undefined,
          () => undefined,
        ),
      );
      await work.finally(() => pruning.delete(name));
    });
  const tidy = async (repository: ResticRepository): Promise<void> => {
    await tidyRestic(repository, Date.now());
    await tidyShown(repository, inTurn);
    await prune(repository).catch((error: unknown) =>
      log.warn({ error: String(error) }, `repository ${repository.name} was not pruned`),
    );
  };
  function soon(repository: ResticRepository): void {
    clearTimeout(timers.get(repository.name));
    const work = () =>
      void tidy(repository).catch((error: unknown) =>
        log.warn({ error: String(error) }, `repository ${repository.name}`),
      );
    timers.set(repository.name, setTimeout(work, SOON_MS).unref());
  }
  const uses = createUses<ResticRepository>({
    context,
    inTurn,
    find,
    recordOf: async (one, vserver, id) => (await resticBackup(one, vserver, id)).record,
    note: noteFacts,
    bring: (one, of) => read(one.name, () => showRestic(one, of)),
    take: hideRestic,
  });
  const handlers: Handlers = {
    ...uses.handlers,
    'repository.offer': async ({ repository, vserver, id, saga }) => {
      const one = await find(repository);
      const { record, snapshot } = await resticBackup(one, vserver, id);
      const backup = { backup: record, config: await configIn(one, snapshot) };
      return saga === undefined ? backup : { ...backup, tree: await fetchedTree(one, saga, { vserver, id }) };
    },
    'repository.fetch': async (args) => {
      const one = await find(args.repository);
      return inTurn(`fetch ${args.saga}`, () => read(one.name, () => fetchRestic(one, args)));
    },
    'repository.release': async ({ repository, saga }) => {
      const one = await find(repository);
      return inTurn(`fetch ${saga}`, async () => {
        await releaseRestic(one, saga);
        return {};
      });
    },
    'repository.verify': async ({ repository, vserver, id }) => {
      const one = await find(repository);
      const asked = await resticBackup(one, vserver, id);
      const faults = await read(repository, () =>
        checkRestic(one, asked.snapshot, (work) => inTurn(repository, work)),
      );
      const verified = Date.now();
      const own = asked.snapshots.flatMap((snapshot) => faults.get(snapshot) ?? []).slice(0, 100);
      // a pack that is damaged may be one of other backups, too
      for (const { record, snapshots } of faults.size > 0 ? (await resticBackups(one)).all : []) {
        const some = snapshots.flatMap((snapshot) => faults.get(snapshot) ?? []).slice(0, 100);
        if (some.length > 0) await noteFacts(one, { ...record, verified, faults: some });
      }
      return inTurn(`${repository} ${vserver}`, async () => {
        const { record } = await resticBackup(one, vserver, id); // a test may have proved it meanwhile
        const backup = { ...record, verified, faults: own };
        await noteFacts(one, backup);
        return { backup, files: backup.files, bytes: backup.bytes };
      });
    },
    'repository.protect': async ({ repository, vserver, id, on }) => {
      const one = await find(repository);
      return inTurn(repository, async () => {
        const { record, snapshots } = await resticBackup(one, vserver, id);
        if (record.protected !== on)
          await restic(one, ['tag', on ? '--add' : '--remove', 'protected', ...snapshots]);
        return { backup: { ...record, protected: on } };
      });
    },
    'repository.remove': async ({ repository, vserver, id }) => {
      const one = await find(repository);
      const remove = async () => {
        const { all } = await resticBackups(one, vserver);
        const found = all.find(({ record }) => record.id === id);
        if (!found) return false;
        if (found.record.protected)
          throw new VsError(
            'refused',
            `backup ${id} of ${vserver} is protected; first: vs backup unprotect ${vserver} ${id}`,
          );
        await uses.requireUnused(one, { vserver, id });
        await writeFileDurable(pruneFile(one), 'an interrupted backup, or a removed one, has left data\n');
        await restic(one, ['forget', ...found.snapshots]);
        await dropFacts(one, vserver, id);
        soon(one);
        return true;
      };
      return {
        removed: await inTurn(`${repository} ${vserver}`, () => inTurn(repository, remove)),
      };
    },
  };
  const inner: Handlers = {
    ...uses.inner,
    'repository.open': async (args) => {
      const one = await find(args.repository);
      return inTurn(`${args.repository} ${args.name}`, () => openRestic(one, args));
    },
    'repository.place': async (args) => placeRestic(await find(args.repository), args),
    'repository.seal': async (args) => {
      const one = await find(args.repository);
      return inTurn(`${args.repository} ${args.name}`, () =>
        inTurn(args.repository, async () => ({ backup: await sealRestic(one, args) })),
      );
    },
    'repository.discard': async (args) => {
      const one = await find(args.repository);
      return inTurn(`${args.repository} ${args.name}`, async () => {
        await discardRestic(one, args);
        return {};
      });
    },
  };
  return {
    handlers,
    inner,
    /** Gives back what was removed, and clears away what nobody needs any more. */
    tidy,
    stop(): void {
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
