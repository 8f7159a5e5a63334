import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { VsError } from '../../../shared/errors.ts';

/** A digest of an OCI descriptor, such as sha256:0123...; other algorithms are not taken. */
export const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** The same stream; it ends with an error when it is not what the digest says, or longer than expected (bytes). */
export async function* verified(
  source: AsyncIterable<Buffer>,
  digest: string,
  what: string,
  size?: number,
): AsyncGenerator<Buffer> {
  const [algorithm = '', wanted = ''] = digest.split(':');
  const hash = createHash(algorithm);
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (size !== undefined && bytes > size) break;
    hash.update(chunk);
    yield chunk;
  }
  if (size !== undefined && bytes !== size)
    throw new VsError('failed', `${what} is damaged: it has not the ${size} bytes that the image says`);
  if (hash.digest('hex') !== wanted)
    throw new VsError('failed', `${what} is damaged: its digest is not ${digest}`);
}

/** The same stream, up to so many bytes. Throws VsError 'failed' with this sentence when there are more. */
export async function* bounded(
  source: AsyncIterable<Buffer>,
  most: number,
  sentence: string,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > most) throw new VsError('failed', sentence);
    yield chunk;
  }
}

/** What a transformation makes of a stream; an error of either ends it. */
async function* through(source: AsyncIterable<Buffer>, step: Transform): AsyncGenerator<Buffer> {
  let fault: unknown;
  const pumped = pipeline(source, step).catch((error: unknown) => {
    fault = error;
  });
  try {
    for await (const chunk of step) yield chunk as Buffer;
  } catch (error) {
    await pumped;
    throw fault ?? error;
  } finally {
    step.destroy();
    await pumped;
  }
}

/** The stream without its compression, which its first bytes tell: gzip, zstd or none. Throws VsError 'failed' at damage. */
export async function* unpacked(source: AsyncIterable<Buffer>, what: string): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  while (head.length < 4) {
    const { value, done } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  async function* whole(): AsyncGenerator<Buffer> {
    try {
      yield head;
      for (;;) {
        const { value, done } = await chunks.next();
        if (done) return;
        yield value;
      }
    } finally {
      await chunks.return?.(undefined);
    }
  }
  const magic = head.toString('hex', 0, 4);
  if (magic.startsWith('1f8b')) yield* named(through(whole(), createGunzip()), what);
  else if (magic === '28b52ffd') yield* named(through(whole(), createZstdDecompress()), what);
  else yield* whole();
}

async function* named(source: AsyncIterable<Buffer>, what: string): AsyncGenerator<Buffer> {
  try {
    yield* source;
  } catch (error) {
    if (error instanceof VsError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new VsError('failed', `${what} is damaged: ${why}`, { cause: error });
  }
}
