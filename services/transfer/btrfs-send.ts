import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Duplex, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { VsError } from '../../shared/errors.ts';
import { run, start } from '../../shared/run.ts';
import type { Admitted } from './admission.ts';
import { answer, readLine, wrongIn } from './hello.ts';
import type { meter } from './progress.ts';
import { type Way, openWire } from './wire.ts';

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

/** Target: takes one stream into staging. The words name the snapshot and the label; the last answer is one line {ok, error?}. */
export async function receive(
  { wire, words }: Admitted,
  staging: string,
  signal: AbortSignal,
): Promise<void> {
  const giveUp = () => wire.destroy();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    const [kind = '', snapshotName = '', label = ''] = words;
    if (
      kind !== 'btrfs-send' ||
      !/^[A-Za-z0-9_-]+\.[a-z0-9-]+$/.test(snapshotName) ||
      !/^[a-z0-9-]+$/.test(label)
    )
      throw new VsError('refused', 'a transfer came with names that are none');
    wire.write(answer());
    const arrived = join(staging, snapshotName);
    await run(['btrfs', 'subvolume', 'delete', arrived], { okCodes: [0, 1] }); // of a try that was cut off
    const error = await intoReceive(wire, staging, signal);
    if (error) await run(['btrfs', 'subvolume', 'delete', arrived], { okCodes: [0, 1] });
    else await rename(arrived, join(staging, label));
    wire.end(answer(error));
  } catch (error) {
    wire.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** Feeds a stream to `btrfs receive`; what went wrong, or nothing when all of it was taken. */
async function intoReceive(wire: Duplex, staging: string, signal: AbortSignal): Promise<string | undefined> {
  const child = start(['btrfs', 'receive', '-C', staging], { stdio: ['pipe', 'ignore', 'pipe'] });
  const done = ending(child);
  const { stdin } = child;
  stdin?.on('error', () => undefined); // receive may end before the stream does
  const frames = unframed();
  if (stdin) wire.pipe(frames.stream).pipe(stdin);
  const cutOff = () => stdin?.destroy(); // receive must not wait for ever
  wire.once('close', cutOff);
  if (signal.aborted || wire.destroyed) cutOff();
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
  way: Way,
  options: {
    snapshot: string;
    snapshotName: string;
    label: string;
    parent?: string;
    /** Bytes a second. */
    bwlimit?: number | undefined;
  },
  count: ReturnType<typeof meter>,
): Promise<void> {
  const { signal } = way;
  const wire = await openWire(way, ['btrfs-send', options.snapshotName, options.label]);
  const child = start(
    ['btrfs', 'send', '-q', ...(options.parent ? ['-p', options.parent] : []), options.snapshot],
    { stdio: ['ignore', 'pipe', 'pipe'], signal },
  );
  const done = ending(child);
  done.catch(() => undefined); // an abort rejects it while nobody waits for it yet
  const word = readLine(wire);
  word.catch(() => undefined);
  const counter = framed(count, options.bwlimit);
  try {
    if (!child.stdout) throw new Error('no stdout');
    await pipeline(child.stdout, counter, wire, { signal, end: false });
    const { code, stderr } = await done;
    if (code !== 0)
      throw new VsError('failed', `btrfs send ended with ${code}: ${stderr.trim().split('\n').at(-1)}`);
    wire.end(Buffer.alloc(4)); // the end mark: btrfs send ended well
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
