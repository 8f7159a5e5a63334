import { type Stats, statSync } from 'node:fs';
import { lstat, mkdir, open, readFile, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { Low } from 'lowdb';
import { z } from 'zod';
import { VsError } from './errors.ts';
import { upgrade } from './migrate.ts';

/** Changes whenever a file is written or put in the place of another; the same for one that is not there. */
export function fileMark(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? markOf(found) : 'none';
}
const markOf = ({ ino, mtimeMs, ctimeMs, size }: Stats): string => `${ino} ${mtimeMs} ${ctimeMs} ${size}`;

/** Is something there, behind links too? What cannot be looked at is not. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** fsync of a file that somebody else has written. */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
/** fsync of a directory: what was renamed in it stays so after a power cut. */
export const syncDirectory = (directory: string): Promise<void> => syncFile(directory);

/** Writes a file so that a power cut leaves the old or the new one whole: temp, fsync, rename, fsync of the directory. */
export async function writeFileDurable(path: string, text: string, mode = 0o600): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDirectory(directory);
}

/** Removes what a former life of this process was writing when it was killed; younger ones may be at work just now. */
export async function clearTemporaries(directory: string): Promise<void> {
  for (const entry of await readdir(directory).catch(() => [] as string[])) {
    if (!/^\..+\.[0-9a-f]{12}\.tmp$/.test(entry)) continue;
    const path = join(directory, entry);
    const found = await lstat(path).catch(() => undefined);
    if (found && found.mtimeMs < performance.timeOrigin) await unlink(path).catch(() => undefined);
  }
}

/** Renames so that a power cut leaves it at the one place or at the other: fsync of both directories. */
export async function renameDurable(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) await syncDirectory(dirname(from));
}

/** As writeFileDurable, but what is the same already is left alone: a start should not wait for the disk. */
export async function writeFileIfChanged(path: string, text: string, mode = 0o600): Promise<void> {
  const now = await readFile(path, 'utf8').catch(() => undefined);
  if (now !== text) await writeFileDurable(path, text, mode);
}

/** Removes a file durably; one that is not there is no error. */
export async function removeFileDurable(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** The text of a file; undefined when it does not exist. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The JSON text of a file by its schema. Throws VsError that names the file when it is damaged, or of a newer vs-tools (migrate.ts). */
export function parseFile<T extends z.ZodType>(path: string, text: string, schema: T): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new VsError('failed', `${path} is not valid JSON; restore it or remove it`, { cause: error });
  }
  const parsed = schema.safeParse(upgrade(path, value, schema));
  if (!parsed.success)
    throw new VsError('failed', `${path} is damaged: ${z.prettifyError(parsed.error)}`, {
      cause: parsed.error,
    });
  return parsed.data;
}

/** A JSON file by its schema; undefined when it does not exist. Throws VsError that names the file when it is damaged. */
export async function readJson<T extends z.ZodType>(
  path: string,
  schema: T,
): Promise<z.infer<T> | undefined> {
  const text = await readText(path);
  return text === undefined ? undefined : parseFile(path, text, schema);
}

/** A file that changed so short a time ago (ms) may change again without another mark: the clock of a file system ticks that often. */
const TICK_MS = 100;
const MOST_KNOWN = 5000;
/**
 * Reads files of JSON, each again only when it changed (`fileMark`): for what is looked at each second. What comes is shared by
 * all who ask: nobody may change it.
 */
export function rereader<T extends z.ZodType>(schema: T): (path: string) => Promise<z.infer<T> | undefined> {
  const known = new Map<string, { mark: string; value: z.infer<T> | undefined }>();
  return async (path) => {
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found) return void known.delete(path);
    const mark = markOf(found);
    const before = known.get(path);
    if (before?.mark === mark) return before.value;
    const value = await readJson(path, schema);
    if (known.size >= MOST_KNOWN) known.clear();
    if (Math.abs(Date.now() - found.ctimeMs) > TICK_MS) known.set(path, { mark, value });
    return value;
  };
}

/** Checks the value by its schema, then writes it durably. */
export async function writeJson<T extends z.ZodType>(
  path: string,
  schema: T,
  value: z.input<T>,
): Promise<void> {
  const low = new Low<unknown>(
    {
      read: () => Promise.resolve(null),
      write: (data) => writeFileDurable(path, `${JSON.stringify(data, null, 2)}\n`),
    },
    null,
  );
  low.data = schema.parse(value);
  await low.write();
}
