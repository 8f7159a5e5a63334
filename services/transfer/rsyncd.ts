import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import type { meter } from './progress.ts';

/** A side that says nothing for that long is gone; rsync itself sends signs of life (rsyncd.conf(5), timeout). */
const QUIET_SECONDS = 120;

/** Target: one rsync daemon for one connection, as from inetd, chrooted to the staging tree, with a one-time secret. */
export async function serveRsync(
  socket: Socket,
  tree: string,
  secret: string,
  options: { runDir: string; from: string; signal: AbortSignal; onLog: (line: string) => void },
): Promise<void> {
  const directory = await mkdtemp(join(options.runDir, '.transfer-'));
  try {
    await writeFile(join(directory, 'secrets'), `vs:${secret}\n`, { mode: 0o600 });
    await writeFile(
      join(directory, 'rsyncd.conf'),
      `[tree]\npath = ${tree}\nuse chroot = yes\nuid = root\ngid = root\nnumeric ids = yes\nread only = no\nlist = no\nmax verbosity = 1\nreverse lookup = no\nauth users = vs\nsecrets file = ${directory}/secrets\nhosts allow = ${options.from}\ntimeout = ${QUIET_SECONDS}\nlog file = /dev/stderr\n`,
      { mode: 0o600 },
    );
    const child = start(['rsync', '--daemon', '--no-detach', `--config=${directory}/rsyncd.conf`], {
      stdio: [socket, socket, 'pipe'],
    });
    const end = () => child.kill('SIGTERM');
    options.signal.addEventListener('abort', end, { once: true });
    if (options.signal.aborted) end();
    child.stderr?.on('data', (chunk: Buffer) => options.onLog(chunk.toString().trim().slice(0, 500)));
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('spawn', () => socket.destroy()); // the child has its own descriptor now
      child.once('close', () => resolve());
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const number = (text: string | undefined): number => Number((text ?? '0').replaceAll(',', ''));

/** Source: copies the live tree. Vanished files (exit 24) are no fault unless it is the final pass. */
export async function sendRsync(
  options: {
    tree: string;
    address: string;
    port: number;
    secret: string;
    final: boolean;
    bwlimit?: number | undefined;
    compress?: boolean | undefined;
    /** Only these files (NUL-separated), whatever their times say. */
    list?: string | undefined;
    signal: AbortSignal;
  },
  count: ReturnType<typeof meter>,
): Promise<{ files: number; treeBytes: number; treeFiles: number; sent: number }> {
  const argv = [
    'rsync',
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
    `rsync://vs@${options.address.includes(':') ? `[${options.address}]` : options.address}:${options.port}/tree/`,
  ];
  const child = start(argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { RSYNC_PASSWORD: options.secret },
  });
  const end = () => child.kill('SIGTERM');
  options.signal.addEventListener('abort', end, { once: true });
  if (options.signal.aborted) end();
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
  if (code !== 0 && !(code === 24 && !options.final)) {
    const lines = errors.trim().split('\n');
    const reason =
      lines.find((line) => /No space left|auth failed|denied|failed:/i.test(line)) ?? lines.at(-1) ?? '';
    if (options.signal.aborted) throw new VsError('failed', 'the copy was given up');
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
