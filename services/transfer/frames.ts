import { createWriteStream } from 'node:fs';
import { Socket, connect } from 'node:net';
import { type Duplex, type Readable, Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress } from 'node:zlib';
import { VsError } from '../../shared/errors.ts';
import { gathering } from './gather.ts';
import { framesFrom } from './gathered.ts';
import type { meter } from './progress.ts';

/** What a slow disk has saved up may be sent faster than the limit for so long (ms). */
const BURST_MS = 200;
/** A frame goes when it has so many bytes, or when its first one has waited for so long (ms). */
const FRAME = 256 * 1024;
const FRAME_MS = 4;
/** So many pieces are on their way to a tool at once. */
const AHEAD = 4;
/** A frame that is longer is none (bytes). */
const LONGEST = 16 * 1024 * 1024;
/** The end mark: all went well up to here. */
export const END = Buffer.alloc(4);

/** How long to wait (ms) after so many bytes, so that no more than `limit` bytes a second are sent. */
export function pace(limit: number | undefined, now: () => number = () => performance.now()) {
  let due = now();
  return (bytes: number): number => {
    if (!limit) return 0;
    due = Math.max(due, now() - BURST_MS) + (bytes / limit) * 1000;
    return due - now();
  };
}

/** Of a limit no frame is more than a twentieth of a second. */
const frameOf = (limit: number | undefined): number =>
  limit ? Math.min(FRAME, Math.max(4096, Math.round(limit / 20))) : FRAME;

/**
 * Source: puts a stream on the wire in pieces with their length before them: so one that was cut off is known; what ends it
 * is `END`. Small pieces are gathered: btrfs send writes three for each file, and each would cost a packet and a TLS record.
 */
function framing(wire: Duplex, limit: number | undefined): Writable {
  const wait = pace(limit);
  return gathering(wire, {
    size: frameOf(limit),
    waitMs: FRAME_MS,
    head: 4,
    begin(piece) {
      piece.writeUInt32BE(piece.length - 4);
      return wait(piece.length);
    },
  });
}

interface Frames {
  /** What the frames hold. */
  parts: Buffer[];
  /** The end mark came; `rest` is what lies behind it. */
  ended: boolean;
  rest: Buffer;
  /** A length that none has. */
  wrong: boolean;
}

/** Target: takes frames apart as they come, whatever pieces they come in. */
function openFrames(): (chunk: Buffer) => Frames {
  let head: Buffer = Buffer.alloc(0);
  let left = 0;
  return (chunk) => {
    const parts: Buffer[] = [];
    let data = chunk;
    for (;;) {
      if (left > 0) {
        const part = data.subarray(0, left);
        if (part.length > 0) parts.push(part);
        left -= part.length;
        data = data.subarray(part.length);
      }
      if (left > 0) return { parts, ended: false, rest: data, wrong: false };
      const more = data.subarray(0, 4 - head.length);
      head = Buffer.concat([head, more]);
      data = data.subarray(more.length);
      if (head.length < 4) return { parts, ended: false, rest: data, wrong: false };
      left = head.readUInt32BE();
      head = Buffer.alloc(0);
      if (left === 0 || left > LONGEST) return { parts, ended: left === 0, rest: data, wrong: left > 0 };
    }
  };
}

/** Target: a stream out of its frames. `whole` tells whether the end mark came, and nothing behind it. */
export function unframed(): { stream: Transform; whole: () => boolean } {
  const take = openFrames();
  let state: 'open' | 'whole' | 'wrong' = 'open';
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      if (state !== 'open') state = 'wrong';
      else {
        const { parts, ended, rest, wrong } = take(chunk);
        for (const part of parts) this.push(part);
        if (wrong || (ended && rest.length > 0)) state = 'wrong';
        else if (ended) state = 'whole';
      }
      next();
    },
  });
  return { stream, whole: () => state === 'whole' };
}

/**
 * Target: what the frames on a wire hold goes into another stream in large pieces, and ends it when the wire ends; what comes once that one
 * is closed is let go. `over` resolves at the end or the close of the wire; `whole` tells whether the end mark came, and nothing behind it.
 * By hand, not by pipes: each record of TLS (16 kB) would pass two streams and be a write of its own (measured: a quarter of the processor time of a target).
 */
export function framesInto(wire: Duplex, into: Writable): { over: Promise<void>; whole: () => boolean } {
  const take = openFrames();
  const again = into instanceof Socket; // another stream may hold what it has taken
  const spare: Buffer[] = [];
  let state: 'open' | 'whole' | 'wrong' = 'open';
  let piece: Buffer | undefined;
  let [at, flying, closed, soon] = [0, 0, false, false];
  function flush(): void {
    const used = piece;
    if (!used || at === 0) return;
    const size = at;
    piece = undefined;
    at = 0;
    if (closed) return void spare.push(used);
    flying++;
    into.write(used.subarray(0, size), () => {
      flying--;
      if (again) spare.push(used);
      if (flying < AHEAD) wire.resume();
    });
    if (flying >= AHEAD) wire.pause();
  }
  function gather(part: Buffer): void {
    for (let offset = 0; offset < part.length;) {
      piece ??= spare.pop() ?? Buffer.allocUnsafeSlow(FRAME);
      const count = part.copy(piece, at, offset);
      at += count;
      offset += count;
      if (at === FRAME) flush();
    }
  }
  wire.on('data', (chunk: Buffer) => {
    if (state !== 'open') {
      state = 'wrong';
      return;
    }
    const { parts, ended, rest, wrong } = take(chunk);
    for (const part of parts) gather(part);
    if (wrong || (ended && rest.length > 0)) state = 'wrong';
    else if (ended) state = 'whole';
    if (soon) return;
    soon = true; // what else has come by now goes with it
    setImmediate(() => {
      soon = false;
      flush();
    });
  });
  into.once('close', () => {
    closed = true;
    wire.resume();
  });
  const over = new Promise<void>((resolve) => {
    const end = () => {
      flush();
      into.end();
      resolve();
    };
    wire.once('end', end);
    wire.once('close', resolve);
    if (wire.destroyed) resolve();
    else if (wire.readableEnded) end(); // nothing came at all
  });
  wire.resume();
  return { over, whole: () => state === 'whole' };
}

/** Source: a stream in frames onto the wire, up to its end but without the end mark. */
export async function sendFramed(
  from: Readable,
  wire: Duplex,
  options: { signal: AbortSignal; bwlimit?: number | undefined; packed?: boolean | undefined },
  count?: ReturnType<typeof meter>,
): Promise<void> {
  if (count) from.on('data', (chunk: Buffer) => count.add(chunk.length));
  const frames = framing(wire, options.bwlimit);
  const how = { signal: options.signal };
  if (options.packed) await pipeline(from, createZstdCompress(), frames, how);
  else await pipeline(from, frames, how);
}

/** Source: as `sendFramed`, what comes from the socket of gather.pl. */
export async function sendGathered(
  socket: string,
  wire: Duplex,
  options: { signal: AbortSignal; bwlimit?: number | undefined; packed?: boolean | undefined },
  count?: ReturnType<typeof meter>,
): Promise<void> {
  const { signal, bwlimit } = options;
  if (options.packed) return sendFramed(connect({ path: socket }), wire, options, count);
  const wait = pace(bwlimit);
  return framesFrom(socket, wire, {
    signal,
    size: frameOf(bwlimit),
    sent(bytes) {
      count?.add(bytes);
      return wait(bytes + 4);
    },
  });
}

/** Target: takes frames up to the end mark into a file that holds at most `most` bytes, and leaves the wire open for what comes then. */
export async function takeFramed(wire: Duplex, file: string, most: number): Promise<void> {
  const into = createWriteStream(file, { mode: 0o600 });
  try {
    await new Promise<void>((resolve, reject) => {
      const frames = openFrames();
      let taken = 0;
      let over = false;
      const cut = () => settle(() => reject(new VsError('failed', 'the list of a copy was cut off')));
      function settle(outcome: () => void): void {
        over = true;
        wire.pause();
        wire.off('data', take).off('end', cut).off('close', cut);
        outcome();
      }
      function take(chunk: Buffer): void {
        const { parts, ended, rest, wrong } = frames(chunk);
        for (const part of parts) {
          taken += part.length;
          if (taken > most) break;
          if (!into.write(part)) {
            wire.pause();
            into.once('drain', () => over || wire.resume()); // what comes then is for others
          }
        }
        if (wrong || taken > most)
          return settle(() => reject(new VsError('refused', 'the list of a copy is too long')));
        if (!ended) return;
        if (rest.length > 0) wire.unshift(rest);
        settle(resolve);
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
