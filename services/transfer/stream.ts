import type { ChildProcess } from 'node:child_process';
import type { Duplex, Writable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { VsError } from '../../shared/errors.ts';
import { ending } from '../../shared/run.ts';
import { END, framesInto, sendFramed, sendGathered, unframed } from './frames.ts';
import { readLine, wrongIn } from './hello.ts';
import type { meter } from './progress.ts';
import { UNKEPT, isFull, unkeptIn } from './unkept.ts';

/** The word, after the others of a hello, that says that the stream is packed by zstd. */
export const PACKED = 'zstd';

/** Target: as `framesInto`, of what was packed by zstd. */
function unpackedInto(wire: Duplex, stdin: Writable): ReturnType<typeof framesInto> {
  const frames = unframed();
  const unpack = createZstdDecompress();
  let torn = false;
  unpack.on('error', () => {
    torn = true;
    stdin.destroy();
  });
  wire.pipe(frames.stream).pipe(unpack).pipe(stdin);
  stdin.once('close', () => void unpack.unpipe(stdin).resume()); // a tool may have enough before the end, of padding
  const over = new Promise<void>((resolve) => {
    frames.stream.once('finish', resolve);
    wire.once('close', resolve);
    if (wire.destroyed) resolve();
  });
  return { over, whole: () => frames.whole() && !torn };
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
  const { over, whole } = packed ? unpackedInto(wire, stdin) : framesInto(wire, stdin);
  const cutOff = () => stdin.destroy(); // the tool must not wait for ever
  wire.once('close', cutOff);
  if (signal.aborted || wire.destroyed) cutOff();
  let [unkept, unended] = [undefined as string | undefined, ''];
  child.stderr?.on('data', (chunk: Buffer) => {
    unended = (unended + chunk.toString()).slice(-20_000);
    unkept ??= unkeptIn(unended);
    unended = unended.slice(unended.lastIndexOf('\n') + 1);
  });
  const { code, stderr } = await done;
  if (code !== 0) {
    const lines = stderr.trim().split('\n');
    const full = lines.find(isFull);
    const cut = lines.find((line) => /Wrote only \d+ of \d+ bytes/.test(line)); // tar's words for a write that was cut short
    const said =
      full ?? (cut && `No space left on device: ${cut}`) ?? (lines.at(-1) || `${tool} ended with ${code}`);
    return said.replaceAll(/\S*\/(?=tar: )/g, ''); // it runs under a name of ours (confine.pl)
  }
  await over;
  return whole() ? unkept : 'the copy was cut off before its end'; // tar ends well without the attribute
}

/** The word of the target about a copy that it could not keep; its disk may be full. */
function notTaken(said: string): VsError {
  const full = isFull(said);
  return new VsError(
    'failed',
    full ? `no space left for the copy: ${said}` : `the copy was not taken: ${said}`,
    {
      retryable: !full && !said.includes(UNKEPT),
      details: { side: 'target' },
    },
  );
}

/** Whether the tool behind gather.pl came to where it can be read from, or ended before. */
function ready(child: ChildProcess, ended: Promise<unknown>): Promise<boolean> {
  const said = new Promise<boolean>((resolve) => child.stdout?.once('data', () => resolve(true)));
  return Promise.race([said, ended.then(() => false)]);
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
    /** Where what it writes comes from, when it runs behind gather.pl; else its standard output. */
    socket?: string | undefined;
  },
  count: ReturnType<typeof meter>,
): Promise<void> {
  const { tool, signal, socket, okCodes = [0] } = options;
  const done = ending(child);
  done.catch(() => undefined); // an abort rejects it while nobody waits for it yet
  const word = readLine(wire);
  word.catch(() => undefined);
  try {
    if (!child.stdout) throw new Error('no stdout');
    if (socket === undefined) await sendFramed(child.stdout, wire, options, count);
    else if (await ready(child, done)) await sendGathered(socket, wire, options, count);
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
