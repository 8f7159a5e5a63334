import type { ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import { besideOptions } from './aside.ts';
import type { Walked } from './changes.ts';
import { confined } from './confine.ts';
import { givingWay } from './giving-way.ts';
import { readLine, wrongIn } from './hello.ts';
import type { meter } from './progress.ts';
import { LACKS, QUIET_SECONDS, carry, rsyncWire, throughWire } from './rsyncd.ts';
import { END, sendFramed } from './frames.ts';
import { isFull, unkeptIn } from './unkept.ts';
import { type Way, openWire } from './wire.ts';

/** Source: the list goes before rsync, which may begin when the tree of the target is ready for it. */
async function sendList(wire: Duplex, list: string, signal: AbortSignal): Promise<void> {
  await sendFramed(createReadStream(list), wire, { signal });
  wire.write(END);
  const wrong = wrongIn(await readLine(wire));
  if (wrong?.startsWith(LACKS))
    throw new VsError('failed', wrong, { retryable: true, details: { lacks: true } });
  if (wrong !== undefined)
    throw new VsError('failed', `the target could not take the list of changes: ${wrong}`, {
      details: { side: 'target' },
    });
}

const number = (text: string | undefined): number => Number((text ?? '0').replaceAll(',', ''));

/** What rsync is told beside the list: all that is in it is compared block by block, and large files are changed in place. */
const byList = ['--dirs', '--ignore-times', '--inplace', '--no-whole-file', '--from0', '--files-from=-'];

/** How often it is looked whether rsync waits at a pipe (ms). */
const LOOK_MS = 1000;

/**
 * Ends rsync when it waits at a named pipe: a guest has made one of what was a file when the list was made, and rsync
 * 3.5 opens it as a file, which lasts until somebody writes into it. True when it was ended.
 */
function awayFromPipes(child: ChildProcess): () => boolean {
  let [waited, ended] = [false, false];
  const look = setInterval(() => {
    void readFile(`/proc/${child.pid}/wchan`, 'latin1')
      .catch(() => '')
      .then((where) => {
        const waits = where === 'wait_for_partner'; // fs/pipe.c, fifo_open
        if (waits && waited) ended = child.kill('SIGTERM');
        waited = waits;
      });
  }, LOOK_MS);
  child.once('close', () => clearInterval(look));
  child.once('error', () => clearInterval(look));
  return () => ended;
}

/** The end of rsync: its code, and what it said on both streams. */
async function saying(child: ChildProcess, signal: AbortSignal, count: ReturnType<typeof meter>) {
  const atPipe = awayFromPipes(child);
  const end = () => child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  let text = '';
  let errors = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    const now = chunk.toString();
    const seen = /([\d,]+)\s+\d+%/g;
    let match: RegExpExecArray | null = null;
    for (let one = seen.exec(now); one; one = seen.exec(now)) match = one;
    if (match) count.at(number(match[1]));
    text = (text + now).slice(-8000);
  });
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)));
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve(status ?? 1));
  });
  return { code, text, errors, atPipe: atPipe() };
}

/**
 * Whether all that rsync has said of files it did not take is what a guest does to them meanwhile: opened as another kind
 * of thing (open(2): ENOENT, ENXIO, ELOOP, EISDIR, ENOTDIR), filled again while it was emptied (rename(2), rmdir(2)), or
 * written while it was read, twice. Not so of a disk that cannot be read, or may not be written.
 */
export function changedMeanwhile(errors: string): boolean {
  const said = errors.split('\n').filter((line) => /^(rsync: |ERROR: |could not make way)/.test(line));
  return (
    said.length > 0 &&
    said.every((line) =>
      /\((?:2|6|17|20|21|26|39|40)\)$|failed verification -- update discarded|\bvanished\b/.test(line),
    )
  );
}

/**
 * Source: copies the live tree, or what a walk found (`part`). Vanished files (exit 24) are no fault unless it is the final pass.
 * rsync is confined to the tree: a name in a list may lead through a directory that the guest has replaced by a symlink since.
 */
export async function sendRsync(
  options: {
    tree: string;
    runDir: string;
    way: Way;
    final: boolean;
    bwlimit?: number | undefined;
    compress?: boolean | undefined;
    walked?: Walked | undefined;
    part: boolean;
    /** Into a tree that shares its files with others. */
    keep?: boolean | undefined;
    /** The endpoint speaks rsync's own protocol from the first byte on. */
    direct: boolean;
  },
  count: ReturnType<typeof meter>,
): Promise<{ files: number; treeBytes: number; treeFiles: number; sent: number; partial: boolean }> {
  const { way, tree, runDir, walked, part, direct } = options;
  const { signal } = way;
  const words = walked ? ['rsync', part ? 'list' : 'full'] : ['rsync'];
  const wire = direct ? undefined : await openWire(way, words);
  try {
    if (wire && walked) await sendList(wire, walked.list, signal);
  } catch (error) {
    wire?.destroy();
    if (signal.aborted) throw new VsError('failed', 'the copy was given up', { cause: error });
    throw error;
  }
  const argv = [
    'rsync',
    ...(wire ? [`--rsh="${rsyncWire}"`] : []),
    '-aHAX',
    '--numeric-ids',
    '--sparse',
    '--modify-window=-1', // nanoseconds: rsync compares (and sets) whole seconds otherwise
    ...(part ? [...byList, ...(options.final ? [] : ['--ignore-missing-args'])] : ['--delete']),
    ...(options.keep ? besideOptions : []),
    '--info=progress2,stats2',
    ...(options.compress ? ['--compress'] : []),
    '--exclude=/config',
    `--timeout=${QUIET_SECONDS}`,
    ...(options.bwlimit ? [`--bwlimit=${Math.max(1, Math.round(options.bwlimit / 1024))}`] : []),
    '/tree/',
    wire
      ? throughWire
      : `rsync://vs@${way.address.includes(':') ? `[${way.address}]` : way.address}:${way.port}/tree/`,
  ];
  const names = part && walked ? await open(walked.names) : undefined;
  const { code, text, errors, atPipe } = await confined(
    { runDir, tree, write: false },
    argv,
    async (confinedArgv) => {
      const child = start([...(options.final ? [] : givingWay), ...confinedArgv], {
        stdio: [names?.fd ?? 'ignore', 'pipe', 'pipe', ...(wire ? (['pipe'] as const) : [])],
        ...(wire ? {} : { env: { RSYNC_PASSWORD: way.secret } }),
      });
      const inner = child.stdio[3] as Duplex | undefined;
      if (wire && inner) carry(wire, inner, inner);
      return saying(child, signal, count);
    },
  ).finally(() => {
    wire?.destroy();
    void names?.close();
  });
  const full = isFull(errors);
  const unkept = unkeptIn(errors);
  /** rsync 3.5 asks for the next of some hard links when the first is gone, and has said already that nothing comes any more. */
  const lostItsPlace = code === 2 && errors.includes('Invalid packet at end of run');
  /** A file has as many names as its file system allows: it said so of --link-dest, and copies it in the next pass. */
  const tooManyNames = /Too many links/.test(errors);
  const changedUnderIt = code === 23 || (part && (lostItsPlace || atPipe));
  /** It broke before rsync's own words were exchanged (clientserver.c); a wrong secret has other words. */
  const noGreeting = code === 5 && /did not see server greeting|didn't get server startup line/.test(errors);
  /** What a live pass was to take has become something else since: not all was taken, and the next pass takes it again. */
  const partial =
    changedUnderIt && !options.final && !full && unkept === undefined && (part || changedMeanwhile(errors));
  if (code !== 0 && !partial && !(code === 24 && !options.final)) {
    const lines = errors.trim().split('\n');
    const reason =
      lines.find((line) => /No space left|auth failed|denied|failed|discarded/i.test(line)) ??
      lines.at(-1) ??
      '';
    if (signal.aborted) throw new VsError('failed', 'the copy was given up');
    if (unkept !== undefined && !full) throw new VsError('failed', unkept, { details: { side: 'target' } });
    const what = full
      ? 'no space left for the copy: '
      : lostItsPlace || atPipe
        ? 'the tree changed while it was read: '
        : '';
    throw new VsError('failed', `${what}rsync ended with exit code ${code}: ${reason.slice(0, 300)}`, {
      // 10-12, 30, 35: the connection broke (rsync(1), EXIT VALUES)
      retryable:
        !full && (lostItsPlace || atPipe || noGreeting || tooManyNames || [10, 12, 30, 35].includes(code)),
      ...(full ? { details: { side: 'target' } } : {}),
    });
  }
  return {
    partial,
    files: number(/Number of regular files transferred: ([\d,]+)/.exec(text)?.[1]),
    treeFiles: number(/Number of files: ([\d,]+)/.exec(text)?.[1]),
    treeBytes: number(/Total file size: ([\d,]+)/.exec(text)?.[1]),
    sent: number(/Total bytes sent: ([\d,]+)/.exec(text)?.[1]),
  };
}
