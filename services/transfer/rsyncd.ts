import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import type { Admitted } from './admission.ts';
import { type Counted, applyList } from './apply.ts';
import { HELLO_MS, answer } from './hello.ts';
import { takeFramed } from './frames.ts';

/** What rsync runs instead of ssh, and the target that it then has; constants, for orphans.ts knows them too. */
export const rsyncWire = new URL('rsync-wire.pl', import.meta.url).pathname;
export const throughWire = 'vs-transfer::tree/';

/** A side that says nothing for that long is gone; rsync itself sends signs of life (rsyncd.conf(5), timeout). */
export const QUIET_SECONDS = 120;

/** So long a process may take to read the end of what came for it (ms). */
const LAST_WORDS_MS = 2000;

/** Carries a stream to and from a process. Its end in one direction leaves what still goes in the other; its loss ends both. */
export function carry(wire: Duplex, input: Writable, output: Readable): void {
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

/** How the answer to a list begins that is not enough for the tree of the target. */
export const LACKS = 'the copy lacks ';
/** A list of changes has at most so many bytes. */
const LIST_BYTES = 2 * 1024 ** 3;

/**
 * Target, through a stream that has proved who it is: the daemon speaks over its stdin and stdout (measured.md). "rsync list"
 * and "rsync full" begin with a list that makes the tree ready (apply.pl). Answers by how much the tree has grown after a list.
 */
export async function serveRsyncOn(
  { wire, words }: Admitted,
  tree: string,
  serving: Serving & {
    todo: string;
    /** The tree shares its files with others (aside.ts). */
    shared?: boolean;
    /** Is told of a list of changes before anything of it is done. */
    note?: ((list: string) => Promise<void>) | undefined;
  },
): Promise<Counted | undefined> {
  const { signal, todo, shared, note } = serving;
  const [kind, prelude = 'none'] = words;
  if (words.length > 2 || kind !== 'rsync' || !['none', 'list', 'full'].includes(prelude)) {
    wire.destroy();
    throw new VsError('refused', 'a transfer came that is none of rsync');
  }
  const giveUp = () => wire.destroy();
  signal.addEventListener('abort', giveUp, { once: true });
  wire.write(answer());
  try {
    let less: Counted | undefined;
    if (prelude !== 'none') {
      await takeFramed(wire, todo, LIST_BYTES);
      if (prelude === 'list') await note?.(todo);
      less = await applyList(tree, shared ? 'prepare-shared' : 'prepare', todo, signal);
      if (less.missing !== undefined) throw new VsError('conflict', `${LACKS}${less.missing}`);
      wire.write(answer());
    }
    const told = new Promise<void>((resolve) => void wire.once('finish', resolve).once('close', resolve));
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
    if (!less || prelude !== 'list') return undefined;
    const more = await applyList(tree, 'tally', todo, signal);
    return { files: less.files + more.files, bytes: less.bytes + more.bytes };
  } catch (error) {
    if (!wire.destroyed) wire.end(answer((error as Error).message), giveUp);
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
    await rm(todo, { force: true });
  }
}
