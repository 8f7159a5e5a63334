import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { start } from '../../shared/run.ts';
import { givingWay } from './giving-way.ts';

/** So many frames are on their way at once. */
const AHEAD = 4;

/** Starts a tool behind gather.pl, which gives way; what it writes is had from the socket, once it said on standard output that it is ready. */
export function startGathered(
  runDir: string,
  argv: string[],
  signal: AbortSignal,
): { child: ChildProcess; socket: string } {
  const socket = join(runDir, `.transfer-${randomBytes(6).toString('hex')}`);
  const program = new URL('gather.pl', import.meta.url).pathname;
  const child = start([...givingWay, 'perl', program, socket, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  // one that ended before anybody came to its socket leaves it behind
  child.once('close', () => void rm(socket, { force: true }).catch(() => undefined));
  return { child, socket };
}

/**
 * Source: what comes from a socket goes onto the wire in frames of at most `size` bytes and their length before them. `sent`
 * says how long to wait (ms) after so many bytes. It is read into memory that is used again when the wire has taken it: a new
 * buffer each made V8 collect all of its heap every 64 MB (measured: a third of the processor time of a source).
 */
export function framesFrom(
  socket: string,
  wire: Duplex,
  { size, sent, signal }: { size: number; sent: (bytes: number) => number; signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const spare: Buffer[] = [];
    let frame: Buffer;
    let [flying, waiting, ended] = [0, false, false];
    const goOn = () => {
      if (ended && flying === 0) settle(resolve);
      else if (!waiting && flying < AHEAD) from.resume();
    };
    const from = connect({
      path: socket,
      onread: {
        buffer: () => (frame = spare.pop() ?? Buffer.allocUnsafeSlow(4 + size)).subarray(4),
        callback(bytes) {
          const used = frame;
          used.writeUInt32BE(bytes);
          flying++;
          wire.write(used.subarray(0, 4 + bytes), (error) => {
            flying--;
            spare.push(used);
            if (error) from.destroy(error);
            else goOn();
          });
          const wait = sent(bytes);
          waiting = wait > 2;
          if (waiting)
            setTimeout(() => {
              waiting = false;
              goOn();
            }, wait);
          return !waiting && flying < AHEAD;
        },
      },
    });
    const giveUp = () => from.destroy(new Error('the copy was given up'));
    const cut = () => from.destroy(new Error('the connection was closed'));
    function settle(outcome: () => void): void {
      signal.removeEventListener('abort', giveUp);
      wire.off('close', cut);
      outcome();
    }
    from.once('error', (error) => settle(() => reject(error)));
    from.once('end', () => {
      ended = true;
      goOn();
    });
    wire.once('close', cut); // a write that it will not answer
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    if (wire.destroyed) cut();
  });
}
