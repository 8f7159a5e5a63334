import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The command line of this very checkout. */
export const vs = new URL('../../vs', import.meta.url).pathname;

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Runs a command to its end and answers its standard output; its failure, or the end of its time, rejects. */
export function run(argv: string[], options: RunOptions = {}): Promise<string> {
  const [file = '', ...args] = argv;
  const words = argv.map((word) => (word === vs ? 'vs' : word)).slice(0, 4);
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: options.env ?? process.env,
      timeout: options.timeoutMs ?? 120_000,
      ...(options.cwd ? { cwd: options.cwd } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-2000)));
    let failure: Error | undefined;
    child.once('error', (error) => {
      failure = error;
      if (child.pid === undefined) reject(error); // else it has ended first: the lab goes down after that
    });
    child.once('close', (code, name) => {
      if (failure) reject(failure);
      else if (code === 0) resolve(stdout);
      else {
        const why = (stderr.trim() || stdout.trim()).slice(-1000);
        reject(new Error(`${words.join(' ')} ended with ${code ?? name}: ${why}`));
      }
    });
  });
}

/** A lab that the bench has for itself, and `vs` pointed at it. */
export interface BenchLab {
  name: string;
  signal: AbortSignal;
  env: NodeJS.ProcessEnv;
  /** `vs ARGS` in the lab. */
  vs(args: string[], timeoutMs?: number): Promise<string>;
  /** `vs lab VERB ARGS` of this lab. */
  lab(verb: string, ...args: string[]): Promise<string>;
}

/** Brings the lab up anew, does the work and takes the lab down, whatever happened. */
export async function withLab<T>(
  name: string,
  storage: 'btrfs' | 'dir',
  signal: AbortSignal,
  work: (lab: BenchLab) => Promise<T>,
  more: string[] = [],
): Promise<T> {
  const down = () => run([vs, 'lab', 'down', '--name', name]); // no signal: this one always runs
  await down();
  try {
    await run([vs, 'lab', 'up', '--name', name, '--storage', storage, ...more], { signal });
    const env = { ...process.env };
    for (const line of (await run([vs, 'lab', 'env', '--name', name], { signal })).split('\n')) {
      const [, key, value] = /^export (\w+)=(.*)$/.exec(line) ?? [];
      if (key) env[key] = value;
    }
    return await work({
      name,
      signal,
      env,
      vs: (args, timeoutMs) => run([vs, ...args], { env, signal, ...(timeoutMs ? { timeoutMs } : {}) }),
      lab: (verb, ...args) => run([vs, 'lab', verb, '--name', name, ...args], { signal }),
    });
  } finally {
    await down();
  }
}

/** The process of a service (`agent`, `broker`, `master`) on a node of the lab. */
export async function pidOf(lab: BenchLab, node: string, service: string): Promise<number> {
  const { nodes } = JSON.parse(await lab.lab('status', '--json')) as {
    nodes: { name: string; processes: { name: string; pid: number }[] }[];
  };
  const found = nodes.find(({ name }) => name === node)?.processes.find(({ name }) => name === service);
  if (!found) throw new Error(`${node} has no ${service}`);
  return found.pid;
}
/** Resident memory of a process, bytes. */
export const memoryOf = (pid: number): number =>
  1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** The middle one; of an even number the mean of the two in the middle. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(half)] ?? NaN) + (sorted[Math.ceil(half)] ?? NaN)) / 2;
}

/** What goes on, for people, beside the result on standard output. */
export const say = (line: string): void => console.error(line);
