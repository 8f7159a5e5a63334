import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('spare.pl', import.meta.url));
/** Nobody needed it for so long: it ends (ms). */
const UNUSED_MS = 60_000;
const MOST = 8;
/** A tool that was asked to end and does not is killed after so long (ms). */
const KILL_MS = 5000;

const idle = new Set<ChildProcess>();
const streams = (child: ChildProcess) => [child.stdin, child.stdout, child.stderr] as (Socket | null)[];

/**
 * Keeps so many processes ready to become the tools that are run next. A process of 150 MB is forked in 10 to 20 ms on the
 * machines of measured.md, in which it serves nobody, and pays for it again with each page it writes to: what runs while a
 * vserver is down takes one of these instead.
 */
export function keepSpares(count: number): void {
  while (idle.size < Math.min(count, MOST)) {
    const child = spawn('perl', [program], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      shell: false,
    });
    idle.add(child);
    const gone = () => idle.delete(child);
    child.once('error', gone).once('exit', gone);
    child.stdin.on('error', () => undefined);
    child.unref();
    for (const stream of streams(child)) stream?.unref();
    setTimeout(() => idle.delete(child) && child.stdin.end(), UNUSED_MS).unref();
  }
}

/** A process that becomes this tool; undefined when none is ready. `input`: undefined leaves its standard input open. */
export function takeSpare(argv: string[], input: string | Buffer | undefined): ChildProcess | undefined {
  const [child] = idle;
  if (!child?.stdin || argv.some((one) => one.includes('\0'))) return undefined;
  idle.delete(child);
  child.ref();
  for (const stream of streams(child)) stream?.ref();
  const line = Buffer.from(argv.map((one) => `${one}\0`).join(''));
  child.stdin.write(Buffer.concat([Buffer.from(line.length.toString(16).padStart(8, '0')), line]));
  if (input !== undefined) child.stdin.end(input);
  return child;
}

/** The end of a tool, as execa tells it. */
export async function endOf(
  child: ChildProcess,
  { timeout, signal, maxBuffer }: { timeout: number; signal: AbortSignal | undefined; maxBuffer: number },
) {
  const texts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let [timedOut, isCanceled, bytes] = [false, false, 0];
  let killing: NodeJS.Timeout | undefined;
  const end = () => {
    child.kill('SIGTERM');
    killing ??= setTimeout(() => child.kill('SIGKILL'), KILL_MS);
  };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', (chunk: Buffer) => {
      texts[name].push(chunk);
      if ((bytes += chunk.length) > maxBuffer) end();
    });
  const late = setTimeout(() => {
    timedOut = true;
    end();
  }, timeout);
  const cancel = () => {
    isCanceled = true;
    end();
  };
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  const [code, killed] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once('close', (...how) => resolve(how)),
  );
  clearTimeout(late);
  clearTimeout(killing);
  signal?.removeEventListener('abort', cancel);
  const [stdout, stderr] = [texts.stdout, texts.stderr].map((parts) => Buffer.concat(parts).toString());
  return {
    stdout,
    stderr,
    timedOut,
    isCanceled,
    ...(code === null ? {} : { exitCode: code }),
    ...(killed === null ? {} : { signal: killed as string }),
    ...(code === 127 && stderr?.endsWith(': No such file or directory\n') ? { code: 'ENOENT' } : {}),
  };
}
