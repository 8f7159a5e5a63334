import { Socket } from 'node:net';
import { Writable } from 'node:stream';

/** So many pieces of gathered bytes are on their way at once. */
const AHEAD = 4;

/**
 * Gathers what comes into pieces of at most `size` bytes and writes them to another stream, which it does not end: a
 * piece goes when it is full, when its first byte has waited for `waitMs`, and at the end. `head` bytes before each piece
 * are filled in by `begin`, which also says how long to wait (ms) before the next. Memory of a piece is used again when
 * a socket has taken it: a new buffer each made V8 collect all of its heap every 64 MB (measured: half of the processor time of a copy).
 */
export function gathering(
  to: Writable,
  {
    size,
    waitMs,
    head,
    begin,
  }: { size: number; waitMs: number; head: number; begin: (piece: Buffer) => number },
): Writable {
  const spare: Buffer[] = [];
  const again = to instanceof Socket; // another stream may hold what it has taken
  let flying = 0;
  let piece: Buffer | undefined;
  let at = head;
  let timer: NodeJS.Timeout | undefined;
  let early = 0;
  let onRoom: (() => void) | undefined;
  let onLanded: (() => void) | undefined;

  function later(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (flying < AHEAD) emit();
    }, waitMs);
  }
  function emit(): void {
    clearTimeout(timer);
    timer = undefined;
    if (!piece) return;
    const used = piece;
    const whole = used.subarray(0, at);
    piece = undefined;
    at = head;
    flying++;
    early = begin(whole);
    to.write(whole, (error) => {
      flying--;
      if (again) spare.push(used);
      if (error) stream.destroy(error);
      const room = onRoom;
      onRoom = undefined;
      if (room) room();
      else if (piece) later();
      if (flying === 0) onLanded?.();
    });
  }
  /** Calls back when there is room for the rest of a chunk, and the limit lets it go. */
  function whenReady(done: () => void): void {
    const wait = early;
    early = 0;
    if (wait > 2) return void setTimeout(whenReady, wait, done);
    if (flying < AHEAD) return done();
    onRoom = done;
  }
  function take(chunk: Buffer, from: number, next: () => void): void {
    let offset = from;
    while (offset < chunk.length) {
      piece ??= spare.pop() ?? Buffer.allocUnsafeSlow(head + size);
      const count = chunk.copy(piece, at, offset, offset + head + size - at);
      at += count;
      offset += count;
      if (at < head + size) continue;
      emit();
      const rest = offset;
      return whenReady(() => (stream.destroyed ? undefined : take(chunk, rest, next)));
    }
    if (piece) later();
    next();
  }
  const stream: Writable = new Writable({
    highWaterMark: size,
    write: (chunk: Buffer, _encoding, next) => take(chunk, 0, next),
    final(done) {
      emit();
      if (flying === 0) done();
      else onLanded = done;
    },
    destroy(error, done) {
      clearTimeout(timer);
      done(error);
    },
  });
  return stream;
}
