import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Of } from '../../shared/checksum.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';

interface Template {
  name: string;
  url: string;
  sha256: string;
  bytes: number;
  secret: string;
}

/** A stream whose break is told as what it is: may be tried again. */
async function* cutOffIs(body: AsyncIterable<Uint8Array>, name: string): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new VsError('failed', `template ${name} was cut off on its way`, { retryable: true, cause: error });
  }
}

/** An archive that no vserver was made from for so long (ms) goes when another one comes. */
const UNUSED_MS = 30 * 86_400_000;

/** Removes archives that were not used for long, and half of ones that a former life was fetching. */
export async function pruneCache(cache: string, now = Date.now()): Promise<void> {
  for (const name of await readdir(cache)) {
    const file = join(cache, name);
    const { mtimeMs } = (await stat(file).catch(() => undefined)) ?? { mtimeMs: now };
    if (now - mtimeMs > (name.endsWith('.tmp') ? 86_400_000 : UNUSED_MS)) await rm(file, { force: true });
  }
}

/** The archive of a template in this host's cache, fetched when missing. What does not have the checksum is never used. */
export async function fetchTemplate(
  cache: string,
  want: Template,
  options: { signal: AbortSignal; progress: (data: Record<string, unknown>) => void },
): Promise<string> {
  const { signal, progress } = options;
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const file = join(cache, want.sha256);
  if (await stat(file).catch(() => undefined)) {
    if ((await sha256Of(file, signal)) === want.sha256) {
      await utimes(file, new Date(), new Date());
      return file;
    }
    await rm(file, { force: true });
  }
  const temporary = `${file}.${process.pid}.${Date.now()}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    const answer = await fetch(want.url, {
      headers: { authorization: `Bearer ${want.secret}` },
      signal,
    }).catch((error: unknown) => {
      throw new VsError('unavailable', `template ${want.name} could not be fetched from ${want.url}`, {
        retryable: true,
        cause: error,
      });
    });
    if (!answer.ok || !answer.body)
      throw new VsError('failed', `${want.url} answered ${answer.status} for template ${want.name}`);
    const hash = createHash('sha256');
    let bytes = 0;
    let told = 0;
    for await (const chunk of cutOffIs(answer.body, want.name)) {
      bytes += chunk.length;
      if (bytes > want.bytes)
        throw new VsError('failed', `template ${want.name} is longer than the ${want.bytes} bytes announced`);
      hash.update(chunk);
      await handle.writeFile(chunk);
      if (performance.now() - told > 1000) {
        told = performance.now();
        progress({ message: 'fetching', bytes, total: want.bytes, percent: (100 * bytes) / want.bytes });
      }
    }
    if (hash.digest('hex') !== want.sha256)
      throw new VsError(
        'failed',
        `template ${want.name} arrived damaged: its checksum is not ${want.sha256}`,
      );
    await handle.sync();
    await rename(temporary, file);
    await pruneCache(cache);
    return file;
  } finally {
    await handle.close();
    await rm(temporary, { force: true });
  }
}

/** tar's option for an archive by its first bytes. */
export function compressionOf(head: Buffer): string[] {
  const hex = head.subarray(0, 6).toString('hex');
  if (hex.startsWith('28b52ffd')) return ['--zstd'];
  if (hex.startsWith('1f8b')) return ['--gzip'];
  if (hex.startsWith('fd377a585a00')) return ['--xz'];
  return [];
}

/** Unpacks an archive with owners, modes, extended attributes and ACLs as they are in it. */
export async function unpack(file: string, rootfs: string, signal: AbortSignal): Promise<void> {
  const handle = await open(file, 'r');
  const head = Buffer.alloc(6);
  await handle.read(head, 0, 6, 0);
  await handle.close();
  await run(
    [
      'tar',
      '-x',
      ...compressionOf(head),
      '-p',
      '--same-owner',
      '--numeric-owner',
      '--xattrs',
      '--xattrs-include=*',
      '--acls',
      '-C',
      rootfs,
      '-f',
      file,
    ],
    { timeoutMs: 1_800_000, signal },
  );
}
