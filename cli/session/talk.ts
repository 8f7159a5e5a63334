import type { Duplex, Readable, Writable } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { FRAME_MOST, WINDOW, frame, openFrames, sizeFrame } from '../../shared/frames.ts';

/** A sign of life is asked for so often (ms), and waited for so long. */
const PING_MS = 10_000;
const SILENT_MS = 40_000;

/** The near end of a session. */
export interface Talk {
  /** How it ended. Rejects with VsError 'unavailable' when the connection broke, 'deadline' when its time was over. */
  ended: Promise<number>;
  resize(rows: number, columns: number): void;
  /** Sends a signal to everything inside; the second one ends it at once. */
  signal(number: number): void;
  /** Gives up: what runs inside is ended, and `ended` rejects with this. */
  close(error: unknown): void;
}

/**
 * Speaks the frames of a session. A reader that is slow slows the process down: nothing is kept here but what is under way. Input
 * goes only as fast as the process takes it, so that a signal never waits behind it.
 */
export function talk(
  wire: Duplex,
  {
    host,
    name,
    input,
    output,
    complaints,
  }: {
    host: string;
    name: string;
    input?: AsyncIterable<Buffer> | undefined;
    output: Writable;
    complaints: Writable;
  },
): Talk {
  const frames = openFrames();
  const { promise: ended, resolve, reject } = Promise.withResolvers<number>();
  let over = false;
  let credit = WINDOW;
  let more: (() => void) | undefined;
  let heard = performance.now();
  let waits = 0;

  const say = (bytes: Buffer): boolean => (wire.destroyed || wire.writableEnded ? true : wire.write(bytes));
  const pings = setInterval(() => {
    if (waits > 0) heard = performance.now(); // we do not listen: who reads our output is slow
    else if (performance.now() - heard > SILENT_MS)
      return broke(`nothing was heard for ${SILENT_MS / 1000} s`);
    say(frame('ping'));
  }, PING_MS);
  pings.unref();

  function finish(outcome: () => void): void {
    if (over) return;
    over = true;
    clearInterval(pings);
    more?.();
    wire.destroy();
    outcome();
  }
  const broke = (why: string) =>
    finish(() =>
      reject(
        new VsError(
          'unavailable',
          `The connection to ${host} broke (${why}): what ran in ${name} is ended there.`,
          {
            retryable: true,
          },
        ),
      ),
    );

  function pass(data: Buffer, to: Writable): void {
    if (to.destroyed || to.write(data)) return;
    waits++;
    wire.pause();
    const goOn = () => {
      to.off('drain', goOn).off('close', goOn);
      if (--waits === 0 && !over) wire.resume();
    };
    to.on('drain', goOn).on('close', goOn);
  }

  function take(chunk: Buffer): void {
    heard = performance.now();
    let taken: ReturnType<typeof frames>;
    try {
      taken = frames(chunk);
    } catch (error) {
      return finish(() => reject(error));
    }
    for (const { type, data } of taken) {
      if (type === 'output') pass(data, output);
      else if (type === 'complaint') pass(data, complaints);
      else if (type === 'credit' && data.length === 4) {
        credit += data.readUInt32BE();
        more?.();
      } else if (type === 'exit' && data.length === 2) {
        const [code = 1, why] = data;
        if (why === 1)
          finish(() =>
            reject(new VsError('deadline', `What ran in ${name} did not end in its time: it was ended.`)),
          );
        else finish(() => resolve(code));
      }
    }
  }
  wire.on('data', take);
  wire.once('error', (error: NodeJS.ErrnoException) => broke(error.code ?? error.message));
  wire.once('end', () => broke('it was closed there'));
  wire.once('close', () => broke('it was closed'));

  /** How much input may go now, once it is some; 0 when all is over. */
  async function room(): Promise<number> {
    if (credit === 0 && !over) await new Promise<void>((go) => (more = go));
    return over ? 0 : Math.min(FRAME_MOST, credit);
  }
  async function give(from: AsyncIterable<Buffer>): Promise<void> {
    for await (const chunk of from)
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + (await room()));
        if (part.length === 0) return;
        at += part.length;
        credit -= part.length;
        say(frame('input', part));
      }
    say(frame('end'));
  }
  if (input) give(input).catch((error: unknown) => finish(() => reject(error)));
  else say(frame('end'));

  return {
    ended,
    resize: (rows, columns) => void say(sizeFrame(rows, columns)),
    signal: (number) => void say(frame('signal', Buffer.from([number]))),
    close: (error) => finish(() => reject(error)),
  };
}

/** The standard input, as what a session gives on. Whoever stops early lets go of it. */
export async function* readInput(from: Readable = process.stdin): AsyncGenerator<Buffer> {
  for await (const chunk of from) yield chunk as Buffer;
}
