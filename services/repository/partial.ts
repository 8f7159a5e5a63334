import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Repository } from '../../config/repositories.ts';
import { type BackupRecord, backupId } from '../../shared/contract/backup.ts';
import { ts } from '../../shared/contract/names.ts';
import type { TakenBackup } from '../../shared/contract/repository.ts';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { readJson } from '../../shared/store.ts';
import { pathsIn } from './place.ts';

// open backups of both kinds of repository: what they began from, and what becomes of them

/** Beside the tree of an open backup: what it began from. Written when the tree is there. */
export const OPEN_FILE = 'open.json';
export const opened = z.object({
  version: z.literal(1),
  basis: backupId.optional(),
  taken: ts.optional(),
  resumed: z.boolean(),
});
export type Opened = z.infer<typeof opened>;
type Saga = { name: string; saga: string };

/** Below this share of free space what an interrupted backup has left is not kept. */
export const LEAST_FREE = 0.05;

/** What is answered of an open backup. */
export const answerOf = ({ basis, taken, resumed }: Opened) => ({
  ...(basis === undefined ? {} : { basis }),
  ...(taken === undefined ? {} : { taken }),
  resumed,
});

/** What interrupted backups of a vserver have left, the newest first. */
export async function leftOf(repository: Repository, name: string): Promise<string[]> {
  const { partials } = pathsIn(repository);
  const entries = await readdir(partials).catch(() => [] as string[]);
  const left = entries
    .filter((one) => one.startsWith(`${name}.`))
    .map(async (one) => ({ path: join(partials, one), at: (await stat(join(partials, one))).mtimeMs }));
  return (await Promise.all(left)).toSorted((a, b) => b.at - a.at).map((one) => one.path);
}

/** The error of a saga that has no backup open. */
export const notOpen = (repository: Repository, { name, saga }: Saga): VsError =>
  new VsError('conflict', `repository ${repository.name} has no open backup of ${name} of saga ${saga}`);

/** The configuration in the tree of an open backup. Throws VsError 'failed' when it is that of another vserver, or none. */
export async function configIn(tree: string, name: string, uuid: string): Promise<VserverConfig> {
  const config = await readJson(join(tree, 'vserver.json'), vserverConfig);
  if (!config) throw new VsError('failed', `the backup of ${name} has no vserver.json`);
  if (config.name !== name || config.uuid !== uuid)
    throw new VsError(
      'failed',
      `the backup of ${name} (${uuid}) calls itself ${config.name} (${config.uuid})`,
    );
  return config;
}

/** The record of a backup that is whole now. */
export function recordFor(
  repository: Repository,
  { name, saga }: Saga,
  of: {
    backup: TakenBackup;
    config: VserverConfig;
    basis: string | undefined;
  } & Pick<BackupRecord, 'id' | 'bytes' | 'files' | 'addedBytes'>,
): BackupRecord {
  const { backup, config, basis, id, bytes, files, addedBytes } = of;
  const { network, address, address6 } = config;
  return {
    version: 1,
    id,
    vserver: name,
    repository: repository.name,
    ...backup,
    network,
    ...(address ? { address } : {}),
    ...(address6 ? { address6 } : {}),
    finished: Date.now(),
    saga,
    bytes,
    files,
    addedBytes,
    ...(basis === undefined ? {} : { basis }),
    protected: false,
  };
}
