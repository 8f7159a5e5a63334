import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { type Template, template } from '../../shared/contract/template.ts';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import { readJson, removeFileDurable, writeJson } from '../../shared/store.ts';
import { suites } from './suites.ts';

/** NAME.json beside the tarball: the template, and the tarball's file name. */
const record = template.extend({ file: z.string() });
export type Record_ = z.infer<typeof record>;

export const extensions = ['.tar.zst', '.tar.gz', '.tgz', '.tar.xz', '.tar'] as const;
/** The extension of a tarball, or undefined. */
export const extensionOf = (file: string): string | undefined =>
  extensions.find((extension) => basename(file).endsWith(extension));

/** The template without what only the store knows. */
export const publicOf = ({ file: _file, ...rest }: Record_): Template => rest;

/** The template of this name, whose tarball is there. */
export async function find(directory: string, name: string): Promise<Record_ | undefined> {
  const found = await readJson(join(directory, `${name}.json`), record);
  if (!found) return undefined;
  const there = await stat(join(directory, found.file)).catch(() => undefined);
  return there?.size === found.bytes ? found : undefined;
}

/** Every template, by name. */
export async function list(directory: string): Promise<Record_[]> {
  const files = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const found: Record_[] = [];
  for (const file of files.sort()) {
    if (!file.endsWith('.json') || file.startsWith('.')) continue;
    const one = await find(directory, file.slice(0, -'.json'.length));
    if (one) found.push(one);
  }
  return found;
}

/** Writes a stream into a new file and on disk; answers its size and sha256. The caller renames or removes it. */
export async function writeStream(
  from: AsyncIterable<Buffer>,
  path: string,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const handle = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of from) {
      hash.update(chunk);
      bytes += chunk.length;
      await handle.writeFile(chunk);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

/**
 * Puts a whole tarball in its place: first the tarball, then the record that makes it a template. One that is replaced is
 * whole until then: the new tarball lies beside it.
 */
export async function place(directory: string, temporary: string, wanted: Record_): Promise<Template> {
  const before = await find(directory, wanted.name);
  const beside = before?.file === wanted.file;
  const file = beside ? besideName(wanted) : wanted.file;
  const one = { ...wanted, file };
  await rename(temporary, join(directory, file));
  await writeJson(join(directory, `${one.name}.json`), record, one);
  if (before && before.file !== file) await removeFileDurable(join(directory, before.file));
  return publicOf(one);
}
/** A file name that no template has by itself. */
const besideName = ({ name, sha256, file }: Record_) =>
  `${name}@${sha256.slice(0, 12)}${extensionOf(file) ?? ''}`;

/** Removes what a life that was cut off left of a template: half-written tarballs, and whole ones that no record names. Only under its lock. */
export async function sweep(directory: string, name: string): Promise<void> {
  const known = await readJson(join(directory, `${name}.json`), record).catch(() => undefined);
  const escaped = name.replaceAll('.', String.raw`\.`);
  const ours = new RegExp(`^(?:\\.${escaped}\\.[0-9a-f]{12}\\.tmp|${escaped}@[0-9a-f]{12}\\..*)$`);
  for (const file of await readdir(directory))
    if (ours.test(file) && file !== known?.file) await unlink(join(directory, file)).catch(() => undefined);
}

/** The path of a file of a template while it is being written. */
export const temporaryIn = (directory: string, name: string): string =>
  join(directory, `.${name}.${randomBytes(6).toString('hex')}.tmp`);

/** Removes a template. */
export async function remove(directory: string, name: string): Promise<void> {
  const found = await readJson(join(directory, `${name}.json`), record);
  if (!found) throw new VsError('not-found', await unknownSentence(directory, name));
  await removeFileDurable(join(directory, `${name}.json`));
  await removeFileDurable(join(directory, found.file));
}

/** What to say of a source that is nothing known. */
export async function unknownSentence(directory: string, source: string): Promise<string> {
  const names = (await list(directory)).map((one) => one.name);
  return `there is no template ${source}; there are busybox${names.map((name) => `, ${name}`).join('')}, the suites ${suites.join(', ')}, paths of tarballs on the master, and oci:FILE for an OCI image archive there`;
}

/**
 * Does the work while no other process works on the same name. The lock is held by a child of ours (flock on a file),
 * so it ends with this process, however it dies.
 */
export async function locked<T>(directory: string, name: string, work: () => Promise<T>): Promise<T> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const holder = start(['flock', join(directory, `.${name}.lock`), 'cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  try {
    await new Promise<void>((resolve, reject) => {
      holder.once('error', (error) =>
        reject(new VsError('failed', `flock cannot be run: ${error.message}`, { cause: error })),
      );
      holder.once('exit', () => reject(new VsError('failed', `the lock of template ${name} was lost`)));
      holder.stdout?.once('data', () => resolve());
      holder.stdin?.on('error', () => undefined);
      holder.stdin?.write('locked\n'); // cat says it back once flock has the lock
    });
    await sweep(directory, name);
    return await work();
  } finally {
    holder.stdin?.end();
  }
}

/** Removes a temporary file; one that is gone is fine. */
export const discard = (path: string): Promise<void> => unlink(path).catch(() => undefined);
