import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { type Duplex, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import { VsError } from '../../shared/errors.ts';
import type { start } from '../../shared/run.ts';
import { readLine, wrongIn } from './hello.ts';
import type { meter } from './progress.ts';

/** The word, after the others of a hello, that says that the stream is packed by zstd. */
export const PACKED = 'zstd';

/** What a slow disk has saved up may be sent faster than the limit for so long (ms). */
const BURST_MS = 200;
/** A frame that is longer is none (bytes). */
const LONGEST = 16 * 1024 * 1024;

/** Ends with the code of a child; its stderr is collected for the sentence of a failure. */
export function ending(child: ReturnType<typeof start>): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stderr }));
  });
}

/** How long to wait (ms) after so many bytes, so that no more than `limit` bytes a second are sent. */
export function pace(limit: number | undefined, now: () => number = () => performance.now()) {
  let due = now();
  return (bytes: number): number => {
    if (!limit) return 0;
    due = Math.max(due, now() - BURST_MS) + (bytes / limit) * 1000;
    return due - now();
  };
}

/** Source: each chunk with its length before it: so a stream that was cut off is known. What ends it is `END`. */
function framed(limit: number | undefined): Transform {
  const wait = pace(limit);
  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, next) {
      const frame = Buffer.allocUnsafe(4 + chunk.length); // one write, for a head alone would go in a packet of its own
      frame.writeUInt32BE(chunk.length);
      chunk.copy(frame, 4);
      const early = wait(frame.length);
      if (early > 2) setTimeout(() => next(null, frame), early);
      else next(null, frame);
    },
  });
}
/** The end mark: all went well up to here. */
export const END = Buffer.alloc(4);

/** Target: takes the frames apart. `whole` tells whether the end of the stream came. */
function unframed(): { stream: Transform; whole: () => boolean } {
  let buffer: Buffer = Buffer.alloc(0);
  let whole = false;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
      while (buffer.length >= 4) {
        const length = buffer.readUInt32BE(0);
        if (length === 0) whole = true;
        if (length > LONGEST || buffer.length < 4 + length) break;
        this.push(buffer.subarray(4, 4 + length));
        buffer = buffer.subarray(4 + length);
      }
      next();
    },
  });
  return { stream, whole: () => whole && buffer.length === 0 };
}

/** Source: a stream in frames onto the wire, up to its end but without the end mark. */
export async function sendFramed(
  from: Readable,
  wire: Duplex,
  options: { signal: AbortSignal; bwlimit?: number | undefined; packed?: boolean | undefined },
  count?: ReturnType<typeof meter>,
): Promise<void> {
  if (count) from.on('data', (chunk: Buffer) => count.add(chunk.length));
  const frames = framed(options.bwlimit);
  const how = { signal: options.signal, end: false };
  if (options.packed) await pipeline(from, createZstdCompress(), frames, wire, how);
  else await pipeline(from, frames, wire, how);
}

/** Target: takes frames up to the end mark into a file that holds at most `most` bytes, and leaves the wire open for what comes then. */
export async function takeFramed(wire: Duplex, file: string, most: number): Promise<void> {
  const into = createWriteStream(file, { mode: 0o600 });
  try {
    await new Promise<void>((resolve, reject) => {
      let buffer: Buffer = Buffer.alloc(0);
      let taken = 0;
      const cut = () => settle(() => reject(new VsError('failed', 'the list of a copy was cut off')));
      function settle(outcome: () => void): void {
        wire.pause();
        wire.off('data', take).off('end', cut).off('close', cut);
        outcome();
      }
      function take(chunk: Buffer): void {
        buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
        while (buffer.length >= 4) {
          const length = buffer.readUInt32BE(0);
          taken += length;
          if (length > LONGEST || taken > most)
            return settle(() => reject(new VsError('refused', 'the list of a copy is too long')));
          if (length === 0) {
            if (buffer.length > 4) wire.unshift(buffer.subarray(4));
            return settle(resolve);
          }
          if (buffer.length < 4 + length) break;
          if (!into.write(buffer.subarray(4, 4 + length))) {
            wire.pause();
            into.once('drain', () => wire.resume());
          }
          buffer = buffer.subarray(4 + length);
        }
      }
      into.once('error', (error) => settle(() => reject(error)));
      wire.on('data', take).on('end', cut).on('close', cut);
      if (wire.destroyed) cut();
      else wire.resume();
    });
    await new Promise<void>((resolve, reject) =>
      into.end((error?: Error | null) => (error ? reject(error) : resolve())),
    );
  } finally {
    into.destroy();
  }
}

/** Target: feeds a stream to a tool; what went wrong, or nothing when the tool took all of it. */
export async function feed(
  wire: Duplex,
  child: ChildProcess,
  tool: string,
  { packed, signal }: { packed: boolean; signal: AbortSignal },
): Promise<string | undefined> {
  const done = ending(child);
  const { stdin } = child;
  if (!stdin) throw new VsError('internal', `${tool} without streams`);
  stdin.on('error', () => undefined); // it may end before the stream does
  const frames = unframed();
  const unpack = packed ? createZstdDecompress() : undefined;
  let torn = false;
  unpack?.on('error', () => {
    torn = true;
    stdin.destroy();
  });
  const last = unpack ? wire.pipe(frames.stream).pipe(unpack) : wire.pipe(frames.stream);
  last.pipe(stdin);
  stdin.once('close', () => void last.unpipe(stdin).resume()); // a tool may have enough before the end, of padding
  const over = new Promise<void>((resolve) => {
    frames.stream.once('finish', resolve);
    wire.once('close', resolve);
    if (wire.destroyed) resolve();
  });
  const cutOff = () => stdin.destroy(); // the tool must not wait for ever
  wire.once('close', cutOff);
  if (signal.aborted || wire.destroyed) cutOff();
  const { code, stderr } = await done;
  if (code !== 0) {
    const lines = stderr.trim().split('\n');
    const full = lines.find((line) => /No space left|Disk quota exceeded/i.test(line));
    const cut = lines.find((line) => /Wrote only \d+ of \d+ bytes/.test(line)); // tar's words for a write that was cut short
    const said =
      full ?? (cut && `No space left on device: ${cut}`) ?? (lines.at(-1) || `${tool} ended with ${code}`);
    return said.replaceAll(/\S*\/(?=tar: )/g, ''); // it runs under a name of ours (confine.pl)
  }
  await over;
  return frames.whole() && !torn ? undefined : 'the copy was cut off before its end';
}

/** The word of the target about a copy that it could not keep; its disk may be full. */
function notTaken(said: string): VsError {
  const full = /No space left|Disk quota exceeded/i.test(said);
  return new VsError(
    'failed',
    full ? `no space left for the copy: ${said}` : `the copy was not taken: ${said}`,
    {
      retryable: !full,
      details: { side: 'target' },
    },
  );
}

/** Source: what a tool writes goes through the wire; done when the tool ended well and the target said that it has all of it. */
export async function sendStream(
  child: ChildProcess,
  wire: Duplex,
  options: {
    tool: string;
    signal: AbortSignal;
    bwlimit?: number | undefined;
    packed?: boolean | undefined;
    /** Codes of the tool that are no fault; 0 unless told. */
    okCodes?: number[];
  },
  count: ReturnType<typeof meter>,
): Promise<void> {
  const { tool, signal, okCodes = [0] } = options;
  const done = ending(child);
  done.catch(() => undefined); // an abort rejects it while nobody waits for it yet
  const word = readLine(wire);
  word.catch(() => undefined);
  try {
    if (!child.stdout) throw new Error('no stdout');
    await sendFramed(child.stdout, wire, options, count);
    const { code, stderr } = await done;
    if (!okCodes.includes(code))
      throw new VsError('failed', `${tool} ended with ${code}: ${stderr.trim().split('\n').at(-1)}`);
    wire.end(END);
    const wrong = wrongIn(await word);
    if (wrong !== undefined) throw notTaken(wrong);
  } catch (error) {
    child.kill('SIGTERM');
    wire.destroy();
    const last = await Promise.race([
      word.catch(() => ''),
      new Promise<string>((resolve) => setTimeout(resolve, 300, '')),
    ]);
    const said = /"error":"([^"]*)"/.exec(last)?.[1];
    if (said) throw notTaken(said);
    if (signal.aborted) throw new VsError('failed', 'the copy was given up', { cause: error });
    if (error instanceof VsError) throw error;
    throw new VsError('failed', `the copy was cut off: ${(error as Error).message}`, {
      retryable: true,
      cause: error,
    });
  }
}
