import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Repository } from '../../config/repositories.ts';
import { backupId } from '../../shared/contract/backup.ts';
import { id as idOf, name, ts } from '../../shared/contract/names.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import { readJson, removeFileDurable, writeJson } from '../../shared/store.ts';

/** `.holds/SAGA.json` of a repository: this saga reads that backup. It outlives the process; it ends with the saga. */
const hold = z.strictObject({ version: z.literal(1), vserver: name, id: backupId, saga: idOf, ts });
type Hold = z.infer<typeof hold>;

const ASK_MS = 20_000;
const directoryOf = ({ path }: Pick<Repository, 'path'>) => join(path, '.holds');
const fileOf = (repository: Pick<Repository, 'path'>, saga: string) =>
  join(directoryOf(repository), `${saga}.json`);

/** Notes that a saga reads a backup; durable when it returns. */
export async function holdBackup(
  repository: Repository,
  { vserver, id, saga }: { vserver: string; id: string; saga: string },
): Promise<void> {
  const file = fileOf(repository, saga);
  const known = await readJson(file, hold).catch(() => undefined);
  if (known?.vserver === vserver && known.id === id) return;
  await mkdir(directoryOf(repository), { recursive: true, mode: 0o700 });
  await writeJson(file, hold, { version: 1, vserver, id, saga, ts: Date.now() });
}

/** The saga reads nothing any more; one that never did is no error. */
export const freeBackup = (repository: Repository, saga: string): Promise<void> =>
  removeFileDurable(fileOf(repository, saga));

async function holdsOf(repository: Repository): Promise<Hold[]> {
  const files = (await readdir(directoryOf(repository)).catch(() => [] as string[])).filter((file) =>
    file.endsWith('.json'),
  );
  const all = files.map((file) => readJson(join(directoryOf(repository), file), hold));
  return (await Promise.all(all)).filter((one) => one !== undefined);
}

/** Has a saga ended for good? One that is stuck has not. Nobody knows: no. */
export async function isOver({ bus }: Pick<Context, 'bus'>, saga: string): Promise<boolean> {
  try {
    const { saga: now } = await bus.request(
      'master',
      'orchestrator.saga',
      { id: saga },
      { timeoutMs: ASK_MS },
    );
    return now.result === 'done' || now.result === 'undone';
  } catch (error) {
    return error instanceof VsError && error.code === 'not-found';
  }
}

/** Throws VsError 'conflict' while a saga reads a backup; what ended sagas have left is cleared away. On a host nobody can know that, and the master asks again. */
export async function requireUnheld(
  context: Pick<Context, 'bus' | 'host'>,
  repository: Repository,
  { vserver, id }: { vserver: string; id: string },
): Promise<void> {
  for (const one of await holdsOf(repository)) {
    if (one.vserver !== vserver || one.id !== id) continue;
    if (context.host !== 'master' || !(await isOver(context, one.saga)))
      throw new VsError(
        'conflict',
        `saga ${one.saga} reads backup ${id} of ${vserver}, so it stays; see it with: vs saga show ${one.saga}`,
        { retryable: true, details: { saga: one.saga } },
      );
    await freeBackup(repository, one.saga);
  }
}
