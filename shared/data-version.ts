import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Settings } from '../config/settings.ts';
import { VsError } from './errors.ts';
import { exists, readText, syncDirectory, writeJson } from './store.ts';

/**
 * The version of all that lies in STATE_DIR. It grows with each release that changes the format of a file there or of
 * `vserver.json`, so that a copy is kept before the new one writes, and the old one refuses what it cannot read.
 */
export const DATA_VERSION = 1;

const marker = z.object({
  data: z.int().min(1),
  /** Which vs-tools wrote it. */
  by: z.string().max(100),
  ts: z.int(),
});
export type Marker = z.infer<typeof marker>;
/** What changes STATE_DIR from one version to the next, beyond the formats of single files (migrate.ts). May run again. */
export type DataSteps = Record<number, (stateDirectory: string) => Promise<void>>;
const noSteps: DataSteps = {};

/** As large as all that vservers are, or said anew by whoever has it; no copy of it is kept. */
const LEFT = new Set(['copies', 'backups', 'templates', 'history', 'log', 'outbox', 'broker.db']);
const MOST_BYTES = 64 * 1024 * 1024;

/** What is to be done with data of a version (undefined: nobody wrote it down, as of before there was a marker). */
export function decide(found: Marker | undefined, known: number): 'refuse' | 'migrate' | 'mark' | 'nothing' {
  if (!found) return known > 1 ? 'migrate' : 'mark';
  if (found.data > known) return 'refuse';
  return found.data < known ? 'migrate' : 'nothing';
}

const fileOf = (directory: string) => join(directory, 'data-version.json');

/** The marker of a STATE_DIR. One that is damaged counts as none: each file has its own format, and vservers must start. */
async function readMarker(directory: string): Promise<Marker | undefined> {
  const text = await readText(fileOf(directory));
  try {
    return text === undefined ? undefined : marker.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** A database as at one moment, though another process may have it open (sqlite.org/lang_vacuum.html). */
async function copyDatabase(from: string, to: string): Promise<void> {
  const { DatabaseSync } = await import('node:sqlite'); // few ever need it
  const database = new DatabaseSync(from, { readOnly: true, timeout: 10_000 });
  try {
    database.prepare('VACUUM INTO ?').run(to);
  } finally {
    database.close();
  }
}

async function copyBelow(from: string, to: string, top: boolean): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (top && (LEFT.has(entry.name) || entry.name.startsWith('before-') || entry.name.startsWith('.')))
      continue;
    if (entry.isDirectory()) await copyBelow(source, target, false);
    if (!entry.isFile() || /(-wal|-shm|-journal|\.lock|\.tmp)$/.test(entry.name)) continue;
    const { size, mode } = await lstat(source);
    if (size > MOST_BYTES) continue;
    if (entry.name.endsWith('.db')) await copyDatabase(source, target);
    else await copyFile(source, target, constants.COPYFILE_FICLONE);
    await chmod(target, mode & 0o777);
  }
  await syncDirectory(to);
}

/** Keeps a copy of STATE_DIR beside its files, whole or not at all; one that is there is of before, and stays. */
async function keepCopy(directory: string, version: number): Promise<string> {
  const to = join(directory, `before-data-${version + 1}`);
  if (await exists(to)) return to;
  const half = join(directory, `.before-data-${version + 1}.half`);
  await rm(half, { recursive: true, force: true });
  await copyBelow(directory, half, true);
  await rename(half, to);
  await syncDirectory(dirname(to));
  return to;
}

const refusal = (directory: string, found: Marker | undefined, by: string, known: number): VsError =>
  new VsError(
    'refused',
    `${directory} has data of vs-tools ${found?.by} (data version ${found?.data}); this is vs-tools ${by}, which knows data up to version ${known}. Install ${found?.by} or newer again: a downgrade could lose what it wrote (docs/upgrade.md)`,
  );

/** Throws VsError 'refused' when a directory such as STATE_DIR has data of a newer vs-tools than this one, named `by`. */
export async function refuseNewer(directory: string, by: string, known = DATA_VERSION): Promise<void> {
  const found = await readMarker(directory);
  if (decide(found, known) === 'refuse') throw refusal(directory, found, by, known);
}

/**
 * Before a process uses STATE_DIR: data of an older version is brought forward, after a copy; data of a newer one is refused.
 * One process does so at a time. Returns what was done, for the log. Throws VsError 'refused', or 'failed' when no copy
 * could be made or a step failed (it goes on at the next start).
 */
export async function prepareData(
  settings: Pick<Settings, 'STATE_DIR'>,
  by: string,
  { known = DATA_VERSION, steps = noSteps }: { known?: number; steps?: DataSteps } = {},
): Promise<string | undefined> {
  const directory = settings.STATE_DIR;
  const judge = async () => {
    const found = await readMarker(directory);
    return { found, what: decide(found, known) };
  };
  const first = await judge();
  if (first.what === 'refuse') throw refusal(directory, first.found, by, known);
  if (first.what === 'nothing') return undefined;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { whileAlone } = await import('./file-lock.ts');
  return whileAlone(fileOf(directory), async () => {
    await chmod(`${fileOf(directory)}.lock`, 0o600);
    const { found, what } = await judge();
    // another process of this machine may have done it meanwhile
    if (what === 'refuse') throw refusal(directory, found, by, known);
    if (what !== 'mark' && what !== 'migrate') return undefined;
    const mark = (data: number) => writeJson(fileOf(directory), marker, { data, by, ts: Date.now() });
    if (what === 'mark') {
      await mark(known);
      return undefined;
    }
    const from = found?.data ?? 1;
    try {
      const copy = await keepCopy(directory, from);
      for (let at = from; at < known; at++) {
        await steps[at]?.(directory);
        await mark(at + 1);
      }
      return `the data of ${directory} is of version ${known} now (it was ${from}); a copy of before is in ${copy}`;
    } catch (error) {
      throw new VsError(
        'failed',
        `the data of ${directory} could not be brought from version ${from} to ${known}: ${(error as Error).message}. Mend that and start again; nothing was lost`,
        { cause: error },
      );
    }
  });
}
