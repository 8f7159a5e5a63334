import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { ExecaError, execa } from 'execa';
import { VsError } from './errors.ts';
import { endOf, takeSpare } from './spare.ts';

/** A tool that ended with an unexpected code, was killed or ran out of time. */
export class RunError extends VsError {
  readonly argv: string[];
  readonly exitCode: number | undefined;
  readonly stderr: string;
  constructor(argv: string[], exitCode: number | undefined, stderr: string, reason: string, cause?: unknown) {
    super('failed', reason, { cause });
    this.name = 'RunError';
    this.argv = argv;
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

export interface RunOptions {
  input?: string | Buffer;
  /** Milliseconds; 60 s unless given. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Exit codes that are no error; only 0 unless given. */
  okCodes?: number[];
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}
export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Before a tool that dies with this process: else it would go on in a tree that the next life of it changes (setpriv(1)). */
export const dying = ['setpriv', '--pdeathsig', 'KILL', '--'];

/** Runs a tool to its end: an argument array, no shell, LC_ALL=C, bounded in time. Throws RunError. */
export async function run(argv: string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...args] = argv;
  const timeout = options.timeoutMs ?? 60_000;
  const maxBuffer = 64 * 1024 * 1024;
  const spare = options.env || options.cwd ? undefined : takeSpare(argv, options.input ?? '');
  const result = spare
    ? await endOf(spare, { timeout, signal: options.signal, maxBuffer })
    : await execa(file, args, {
        reject: false,
        timeout,
        stripFinalNewline: false,
        maxBuffer,
        env: { LC_ALL: 'C', ...options.env },
        ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
        ...(options.signal ? { cancelSignal: options.signal } : {}),
        ...(options.cwd ? { cwd: options.cwd } : {}),
      });
  const stderr = String(result.stderr ?? '');
  const code = result.exitCode;
  if (code !== undefined && (options.okCodes ?? [0]).includes(code)) {
    return { code, stdout: String(result.stdout ?? ''), stderr };
  }
  throw new RunError(
    argv,
    code,
    stderr,
    reasonOf(file, timeout, result, stderr),
    result instanceof ExecaError ? result : undefined,
  );
}

function reasonOf(
  file: string,
  timeout: number,
  result: { timedOut: boolean; isCanceled: boolean; exitCode?: number; signal?: string; code?: string },
  stderr: string,
): string {
  if (result.code === 'ENOENT')
    return `${file} is not installed on this host; install it (deploy/setup.sh installs what is needed)`;
  if (result.isCanceled) return `${file} was stopped`;
  if (result.timedOut) return `${file} did not end within ${timeout / 1000} s`;
  const lines = stderr.trim().split('\n').filter(Boolean).slice(-3).join('; ').slice(0, 500);
  const how = result.signal
    ? `was killed by ${result.signal}`
    : `ended with exit code ${result.exitCode ?? '?'}`;
  return lines ? `${file} ${how}: ${lines}` : `${file} ${how}`;
}

/** Starts a tool whose streams are used while it runs (copies, exec). The caller waits for its end. */
export function start(
  argv: string[],
  options: { stdio: StdioOptions; env?: NodeJS.ProcessEnv; signal?: AbortSignal; cwd?: string },
): ChildProcess {
  const [file = '', ...args] = argv;
  const { stdio, signal } = options;
  if (Array.isArray(stdio) && stdio.length === 3 && stdio.every(isPlain) && !options.env && !options.cwd) {
    const child = takeSpare(argv, stdio[0] === 'ignore' ? '' : undefined);
    if (child) {
      if (stdio[1] === 'ignore') child.stdout?.resume();
      if (stdio[2] === 'ignore') child.stderr?.resume();
      const end = () => child.kill('SIGTERM');
      signal?.addEventListener('abort', end, { once: true });
      child.once('exit', () => signal?.removeEventListener('abort', end));
      if (signal?.aborted) end();
      return child;
    }
  }
  return spawn(file, args, {
    stdio,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    shell: false,
    ...(signal ? { signal } : {}),
    ...(options.cwd ? { cwd: options.cwd } : {}),
  });
}
const isPlain = (one: unknown): boolean => one === 'ignore' || one === 'pipe';

/** Ends with the code of a child; its stderr is collected for the sentence of a failure. */
export function ending(child: ChildProcess): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stderr }));
  });
}
