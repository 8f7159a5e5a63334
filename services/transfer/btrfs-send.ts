import { rename } from 'node:fs/promises';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { VsError } from '../../shared/errors.ts';
import { run, start } from '../../shared/run.ts';
import { same } from './endpoint.ts';
import type { meter } from './progress.ts';

/** Ends with the code of a child; its stderr is collected for the sentence of a failure. */
function ending(child: ReturnType<typeof start>): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stderr }));
  });
}

/** Source: each chunk with its length before it, and a length of 0 at the end: so a stream that was cut off is known. */
function framed(count: ReturnType<typeof meter>, bwlimit?: number): Transform {
  const begun = Date.now();
  let sent = 0;
  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, next) {
      count.add(chunk.length);
      sent += chunk.length;
      const head = Buffer.alloc(4);
      head.writeUInt32BE(chunk.length);
      this.push(head);
      const early = bwlimit ? (sent / bwlimit) * 1000 - (Date.now() - begun) : 0;
      if (early > 5) setTimeout(() => next(null, chunk), early);
      else next(null, chunk);
    },
  });
}

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
        if (length > 16 * 1024 * 1024 || buffer.length < 4 + length) break;
        this.push(buffer.subarray(4, 4 + length));
        buffer = buffer.subarray(4 + length);
      }
      next();
    },
  });
  return { stream, whole: () => whole && buffer.length === 0 };
}

/** Reads one line (at most 4 kB) from a socket and pauses it; what came after the line is put back. */
function readLine(socket: Socket, timeoutMs?: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = Buffer.alloc(0);
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => gone(), timeoutMs);
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      socket.off('data', take).off('end', gone).off('error', gone).off('close', gone);
      outcome();
    };
    const gone = () =>
      settle(() =>
        reject(new VsError('failed', 'the other side closed the connection', { retryable: true })),
      );
    function take(chunk: Buffer): void {
      all = Buffer.concat([all, chunk]);
      const end = all.indexOf(10);
      if (end < 0 && all.length < 4096) return;
      socket.pause();
      settle(() => {
        if (end < 0)
          return reject(new VsError('failed', 'the other side does not speak the transfer protocol'));
        if (end + 1 < all.length) socket.unshift(all.subarray(end + 1));
        resolve(all.subarray(0, end).toString());
      });
    }
    socket.on('data', take).on('end', gone).on('error', gone).on('close', gone);
    socket.resume();
  });
}

/** How long the other side may take to say who it is (ms); a link that loses 5 % of its packets may take seconds. */
const HELLO_MS = 15_000;

/** Target: takes one stream into staging. The first line is the secret and the label, the answer one line {ok, error?}. */
export async function receive(
  socket: Socket,
  staging: string,
  secret: string,
  signal: AbortSignal,
): Promise<void> {
  const giveUp = () => socket.destroy();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    const [given = '', snapshotName = '', label = ''] = (await readLine(socket, HELLO_MS)).split(' ');
    if (!same(given, secret) || !/^[A-Za-z0-9_.-]+$/.test(snapshotName) || !/^[a-z0-9-]+$/.test(label))
      throw new VsError('refused', 'a transfer came with a wrong secret');
    const arrived = join(staging, snapshotName);
    await run(['btrfs', 'subvolume', 'delete', arrived], { okCodes: [0, 1] }); // of a try that was cut off
    const error = await intoReceive(socket, staging, signal);
    if (error) await run(['btrfs', 'subvolume', 'delete', arrived], { okCodes: [0, 1] });
    else await rename(arrived, join(staging, label));
    socket.end(`${JSON.stringify(error ? { ok: false, error } : { ok: true })}\n`);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** Feeds a stream to `btrfs receive`; what went wrong, or nothing when all of it was taken. */
async function intoReceive(
  socket: Socket,
  staging: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const child = start(['btrfs', 'receive', staging], { stdio: ['pipe', 'ignore', 'pipe'] });
  const done = ending(child);
  const { stdin } = child;
  stdin?.on('error', () => undefined); // receive may end before the stream does
  const frames = unframed();
  if (stdin) socket.pipe(frames.stream).pipe(stdin);
  const cutOff = () => stdin?.destroy(); // receive must not wait for ever
  socket.once('close', cutOff);
  if (signal.aborted || socket.destroyed) cutOff();
  const { code, stderr } = await done;
  if (code !== 0) return stderr.trim().split('\n').at(-1) || `btrfs receive ended with ${code}`;
  return frames.whole() ? undefined : 'the copy was cut off before its end';
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

/** Source: sends a snapshot (incremental to `parent`), then waits for the word of the target. */
export async function send(
  options: {
    address: string;
    port: number;
    secret: string;
    snapshot: string;
    snapshotName: string;
    label: string;
    parent?: string;
    /** Bytes a second. */
    bwlimit?: number | undefined;
    signal: AbortSignal;
  },
  count: ReturnType<typeof meter>,
): Promise<void> {
  const socket = connect({ host: options.address, port: options.port, allowHalfOpen: true });
  socket.setNoDelay(true);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) =>
      reject(
        new VsError('failed', `the endpoint at ${options.address} cannot be reached: ${error.message}`, {
          retryable: true,
          cause: error,
        }),
      ),
    );
  });
  socket.write(`${options.secret} ${options.snapshotName} ${options.label}\n`);
  const child = start(
    ['btrfs', 'send', '-q', ...(options.parent ? ['-p', options.parent] : []), options.snapshot],
    { stdio: ['ignore', 'pipe', 'pipe'], signal: options.signal },
  );
  const done = ending(child);
  done.catch(() => undefined); // an abort rejects it while nobody waits for it yet
  const answer = readLine(socket);
  answer.catch(() => undefined);
  const counter = framed(count, options.bwlimit);
  try {
    if (!child.stdout) throw new Error('no stdout');
    await pipeline(child.stdout, counter, socket, { signal: options.signal, end: false });
    const { code, stderr } = await done;
    if (code !== 0)
      throw new VsError('failed', `btrfs send ended with ${code}: ${stderr.trim().split('\n').at(-1)}`);
    socket.end(Buffer.alloc(4)); // the end mark: btrfs send ended well
    const word = JSON.parse(await answer) as { ok: boolean; error?: string };
    if (!word.ok) throw notTaken(word.error ?? '');
  } catch (error) {
    child.kill('SIGTERM');
    socket.destroy();
    const word = await Promise.race([
      answer.catch(() => ''),
      new Promise<string>((resolve) => setTimeout(resolve, 300, '')),
    ]);
    const said = /"error":"([^"]*)"/.exec(word)?.[1];
    if (said) throw notTaken(said);
    if (options.signal.aborted) throw new VsError('failed', 'the copy was given up', { cause: error });
    if (error instanceof VsError) throw error;
    throw new VsError('failed', `the copy was cut off: ${(error as Error).message}`, {
      retryable: true,
      cause: error,
    });
  }
}
