import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import type { Admitted } from './admission.ts';
import { HELLO_MS, answer } from './hello.ts';
import type { meter } from './progress.ts';
import { type Way, openWire } from './wire.ts';

/** What rsync runs instead of ssh, and the target that it then has; constants, for orphans.ts knows them too. */
export const rsyncWire = new URL('rsync-wire.pl', import.meta.url).pathname;
export const throughWire = 'vs-transfer::tree/';

/** A side that says nothing for that long is gone; rsync itself sends signs of life (rsyncd.conf(5), timeout). */
const QUIET_SECONDS = 120;

/** So long a process may take to read the end of what came for it (ms). */
const LAST_WORDS_MS = 2000;

/** Carries a stream to and from a process. Its end in one direction leaves what still goes in the other; its loss ends both. */
function carry(wire: Duplex, input: Writable, output: Readable): void {
  for (const one of [input, output]) one.on('error', () => undefined); // the process has ended, and says why itself
  wire.pipe(input);
  output.pipe(wire);
  const end = () => {
    input.end(); // its last words, about a full disk maybe, still get through
    setTimeout(() => input.destroy(), LAST_WORDS_MS).unref();
  };
  wire.once('close', end);
  if (wire.destroyed) end(); // it was lost before the process began
}

interface Serving {
  runDir: string;
  signal: AbortSignal;
  onLog: (line: string) => void;
}

/**
 * One rsync daemon for one connection, chrooted to the staging tree, which can be written and not read. How it gets its
 * streams, and to whom it speaks, is for the two below.
 */
async function daemon(
  tree: string,
  more: (directory: string) => Promise<string>,
  { runDir, signal, onLog }: Serving,
  begin: (config: string) => ChildProcess,
): Promise<void> {
  const directory = await mkdtemp(join(runDir, '.transfer-'));
  try {
    await writeFile(
      join(directory, 'rsyncd.conf'),
      `[tree]\npath = ${tree}\nuse chroot = yes\nuid = root\ngid = root\nnumeric ids = yes\nread only = no\nwrite only = yes\nlist = no\nmax verbosity = 1\nreverse lookup = no\ntimeout = ${QUIET_SECONDS}\nlog file = /dev/stderr\n${await more(directory)}`,
      { mode: 0o600 },
    );
    const child = begin(`--config=${directory}/rsyncd.conf`);
    const end = () => child.kill('SIGTERM');
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    child.stderr?.on('data', (chunk: Buffer) => onLog(chunk.toString().trim().slice(0, 500)));
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => resolve());
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Target, in the clear: as from inetd; rsync itself asks for the secret and looks at the address again. */
export const serveRsync = (
  socket: Socket,
  tree: string,
  secret: string,
  serving: Serving & { from: string },
): Promise<void> =>
  daemon(
    tree,
    async (directory) => {
      await writeFile(join(directory, 'secrets'), `vs:${secret}\n`, { mode: 0o600 });
      return `auth users = vs\nsecrets file = ${directory}/secrets\nhosts allow = ${serving.from}\n`;
    },
    serving,
    (config) => {
      const child = start(['rsync', '--daemon', '--no-detach', config], { stdio: [socket, socket, 'pipe'] });
      child.once('spawn', () => socket.destroy()); // the child has its own descriptor now
      return child;
    },
  );

/** Target, through a stream that has proved who it is: the daemon speaks over its stdin and stdout (measured.md). */
export async function serveRsyncOn({ wire, words }: Admitted, tree: string, serving: Serving): Promise<void> {
  if (words.length !== 1 || words[0] !== 'rsync') {
    wire.destroy();
    throw new VsError('refused', 'a transfer came that is none of rsync');
  }
  const giveUp = () => wire.destroy();
  serving.signal.addEventListener('abort', giveUp, { once: true });
  wire.write(answer());
  const told = new Promise<void>((resolve) => void wire.once('finish', resolve).once('close', resolve));
  try {
    await daemon(
      tree,
      () => Promise.resolve(''),
      serving,
      (config) => {
        const child = start(['rsync', '--server', '--daemon', config, '.'], {
          stdio: ['pipe', 'pipe', 'pipe'],
        });
        const { stdin, stdout } = child;
        if (!stdin || !stdout) throw new VsError('internal', 'rsync without streams');
        carry(wire, stdin, stdout);
        return child;
      },
    );
    await told; // its last words, a sentence about a full disk maybe, must arrive
    wire.resume();
    setTimeout(giveUp, HELLO_MS).unref();
  } catch (error) {
    wire.destroy();
    throw error;
  } finally {
    serving.signal.removeEventListener('abort', giveUp);
  }
}

const number = (text: string | undefined): number => Number((text ?? '0').replaceAll(',', ''));

/** Source: copies the live tree. Vanished files (exit 24) are no fault unless it is the final pass. */
export async function sendRsync(
  options: {
    tree: string;
    way: Way;
    final: boolean;
    bwlimit?: number | undefined;
    compress?: boolean | undefined;
    /** Only these files (NUL-separated), whatever their times say. */
    list?: string | undefined;
  },
  count: ReturnType<typeof meter>,
): Promise<{ files: number; treeBytes: number; treeFiles: number; sent: number }> {
  const { way } = options;
  const { signal } = way;
  const wire = way.channel === 'plain' ? undefined : await openWire(way, ['rsync']);
  const argv = [
    'rsync',
    ...(wire ? [`--rsh="${rsyncWire}"`] : []),
    '-aHAX',
    '--numeric-ids',
    '--sparse',
    '--modify-window=-1', // nanoseconds: rsync compares (and sets) whole seconds otherwise
    ...(options.list ? ['--ignore-times', '--from0', `--files-from=${options.list}`] : ['--delete']),
    '--info=progress2,stats2',
    ...(options.compress ? ['--compress'] : []),
    '--exclude=/config',
    `--timeout=${QUIET_SECONDS}`,
    ...(options.bwlimit ? [`--bwlimit=${Math.max(1, Math.round(options.bwlimit / 1024))}`] : []),
    `${options.tree}/`,
    wire
      ? throughWire
      : `rsync://vs@${way.address.includes(':') ? `[${way.address}]` : way.address}:${way.port}/tree/`,
  ];
  const child = start(argv, {
    stdio: ['ignore', 'pipe', 'pipe', ...(wire ? (['pipe'] as const) : [])],
    ...(wire ? {} : { env: { RSYNC_PASSWORD: way.secret } }),
  });
  const inner = child.stdio[3] as Duplex | undefined;
  if (wire && inner) {
    carry(wire, inner, inner);
  }
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
  }).finally(() => wire?.destroy());
  if (code !== 0 && !(code === 24 && !options.final)) {
    const lines = errors.trim().split('\n');
    const reason =
      lines.find((line) => /No space left|auth failed|denied|failed:/i.test(line)) ?? lines.at(-1) ?? '';
    if (signal.aborted) throw new VsError('failed', 'the copy was given up');
    const full = /No space left|Disk quota exceeded/i.test(errors);
    const what = full ? 'no space left for the copy: ' : '';
    throw new VsError('failed', `${what}rsync ended with exit code ${code}: ${reason.slice(0, 300)}`, {
      // 10-12, 30, 35: the connection broke (rsync(1), EXIT VALUES)
      retryable: !full && [10, 12, 30, 35].includes(code),
      ...(full ? { details: { side: 'target' } } : {}),
    });
  }
  return {
    files: number(/Number of regular files transferred: ([\d,]+)/.exec(text)?.[1]),
    treeFiles: number(/Number of files: ([\d,]+)/.exec(text)?.[1]),
    treeBytes: number(/Total file size: ([\d,]+)/.exec(text)?.[1]),
    sent: number(/Total bytes sent: ([\d,]+)/.exec(text)?.[1]),
  };
}
