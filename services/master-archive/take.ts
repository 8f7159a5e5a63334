import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { syncDirectory, writeFileDurable } from '../../shared/store.ts';
import { type Manifest, describeFile, filesBelow, isKept } from './contents.ts';

const MINUTES_MS = 60_000;
const fileName = /^vs-master-\d{8}T\d{6}Z\.tar\.gz$/;

export interface Taken {
  file: string;
  files: number;
  bytes: number;
  /** Older archives that went. */
  removed: string[];
}

/** A database as at one moment, also while a service writes to it (VACUUM INTO, sqlite.org/lang_vacuum.html). */
function copyDatabase(from: string, to: string): void {
  const database = new DatabaseSync(from, { readOnly: true, timeout: 10_000 });
  try {
    database.prepare('VACUUM INTO ?').run(to);
  } finally {
    database.close();
  }
}

/** Copies one file. Others write by renaming, or append: what is copied is whole, or ends with a torn line. False: it is gone. */
async function take(from: string, to: string): Promise<boolean> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  try {
    if (from.endsWith('.db')) {
      copyDatabase(from, to);
      await chmod(to, (await stat(from)).mode & 0o777);
    } else await copyFile(from, to, constants.COPYFILE_FICLONE);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new VsError('failed', `${from} could not be copied: ${(error as Error).message}`, { cause: error });
  }
}

/** Removes archives of this name in a directory, but for the newest. */
async function removeOld(directory: string, keep: number): Promise<string[]> {
  const old = (await readdir(directory))
    .filter((one) => fileName.test(one))
    .toSorted()
    .slice(0, -keep);
  for (const one of old) await rm(join(directory, one));
  return old;
}

/**
 * Makes an archive of the master's own state and settings in a directory: authority, users, journals, epochs, what was
 * applied, all of CONFIG_DIR. It holds the pool's keys: mode 0600. Temp, fsync, rename: an archive that is there is whole.
 */
export async function takeArchive(
  settings: Pick<Settings, 'STATE_DIR' | 'CONFIG_DIR' | 'TLS_DIR' | 'BROKER_USERS'>,
  directory: string,
  options: { version: string; keep?: number; withHistory?: boolean; now?: number },
): Promise<Taken> {
  const { STATE_DIR, CONFIG_DIR } = settings;
  if (!(await stat(`${STATE_DIR}/ca/ca.key`).catch(() => undefined)))
    throw new VsError(
      'refused',
      `this machine is not the master of a pool: ${STATE_DIR}/ca/ca.key is not there`,
    );
  for (const [key, path, root] of [
    ['TLS_DIR', settings.TLS_DIR, STATE_DIR],
    ['BROKER_USERS', settings.BROKER_USERS, CONFIG_DIR],
  ] as const)
    if (!`${path}/`.startsWith(`${root}/`))
      throw new VsError(
        'refused',
        `${key} (${path}) lies outside of ${root}, so an archive would not have it; move it there`,
      );
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const now = options.now ?? Date.now();
  const stamp = new Date(now).toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '');
  const file = join(directory, `vs-master-${stamp}.tar.gz`);
  const stage = await mkdtemp(join(directory, '.vs-master-'));
  try {
    const parts: Manifest = { version: 1, vsTools: options.version, host: hostname(), taken: now, files: [] };
    const roots = [
      ['state', STATE_DIR, (top: string) => isKept(top, options.withHistory ?? false)],
      ['etc', CONFIG_DIR, (top: string) => !top.startsWith('.')],
    ] as const;
    let bytes = 0;
    for (const [part, root, accepts] of roots) {
      for (const inner of await filesBelow(root, accepts)) {
        const [path, to] = [`${part}/${inner}`, join(stage, part, inner)];
        if (!(await take(join(root, inner), to))) continue;
        const found = await describeFile(to);
        bytes += found.bytes;
        parts.files.push({ path, ...found });
      }
    }
    await writeFileDurable(join(stage, 'manifest.json'), `${JSON.stringify(parts, null, 1)}\n`);
    await pack(stage, file, bytes);
    const removed = options.keep === undefined ? [] : await removeOld(directory, options.keep);
    return { file, files: parts.files.length, bytes: (await stat(file)).size, removed };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** The archive appears whole, or not at all. */
async function pack(stage: string, file: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(file));
  if (bavail * bsize < bytes)
    throw new VsError(
      'failed',
      `${dirname(file)} has ${Math.floor((bavail * bsize) / 1e6)} MB free, and the archive may need ${Math.ceil(bytes / 1e6)} MB; name another directory`,
    );
  const partial = join(stage, 'archive');
  const handle = await open(partial, 'wx', 0o600);
  try {
    const names = (await readdir(stage)).filter((one) => one !== 'archive').toSorted();
    await run(['tar', '-C', stage, '--owner=0', '--group=0', '--numeric-owner', '-czf', partial, ...names], {
      timeoutMs: 30 * MINUTES_MS,
    });
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(partial, file);
  await syncDirectory(dirname(file));
}
