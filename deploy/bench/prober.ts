import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProbeResult } from '../lab/probe.ts';
import { type BenchLab, vs } from './kit.ts';
import type { Shell } from './shell.ts';

export interface Measured<T> {
  downtimeMs: number;
  /** From the first command until it answers again and the last command has ended. */
  totalMs: number;
  value: T;
}

/** Waits until the address takes a TCP connection, asked from the prober's namespace. */
export async function awaitAnswer(prober: Shell, address: string): Promise<void> {
  const once = `timeout 1 bash -c 'exec 3<>/dev/tcp/${address}/80' 2>/dev/null`;
  await prober.run(
    `for i in $(seq 600); do ${once} && exit 0; sleep 0.1; done\necho "${address} does not answer" >&2; exit 1`,
  );
}

/** Starts the lab's prober; `stop` ends it and answers what it saw. */
function startProbe(lab: BenchLab, address: string): { stop(): Promise<ProbeResult> } {
  const words = ['--interval', '10ms', '--for', '60m', '--json'];
  const child = spawn(vs, ['lab', 'probe', `${address}:80`, '--name', lab.name, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: lab.signal,
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const done = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  done.catch(() => undefined); // told to whoever waits for it
  return {
    async stop() {
      child.kill('SIGINT');
      await done;
      if (!text) throw new Error(`the prober of ${address} ended without a result`);
      return JSON.parse(text) as ProbeResult;
    },
  };
}

/** Runs a move while the prober asks from outside every 10 ms. */
export async function probed<T>(
  lab: BenchLab,
  prober: Shell,
  address: string,
  move: () => Promise<T>,
): Promise<Measured<T>> {
  await awaitAnswer(prober, address);
  const probe = startProbe(lab, address);
  try {
    await sleep(1500); // until the prober asks
    const begun = Date.now();
    const value = await move();
    const ended = Date.now();
    await awaitAnswer(prober, address);
    await sleep(500);
    const seen = await probe.stop();
    if (seen.gapFrom < begun || seen.gapFrom > ended)
      throw new Error(`the longest gap of ${address} was not in the move: ${JSON.stringify(seen)}`);
    return { downtimeMs: seen.gapMs, totalMs: Math.max(ended, seen.gapTo) - begun, value };
  } catch (error) {
    await probe.stop().catch(() => undefined);
    throw error;
  }
}
