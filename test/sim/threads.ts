import { Worker } from 'node:worker_threads';
import type { Failure, Tally } from './runs.ts';
import type { Outcome } from './simulate.ts';

export type Job =
  | {
      what: 'seeds';
      saga: string;
      range: { from: number; to: number; step: number };
      options: { most: number; shrinks: boolean };
    }
  | { what: 'seed'; saga: string; seed: number }
  | { what: 'scenario'; text: string };
/** What a scenario came to, with its text. */
export type Replay = Outcome & { text: string };

/** Does a job in a thread of its own, in which the machine is the simulated one. */
function inThread<T>(job: Job, mutation?: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      execArgv: ['--import', new URL('./hooks.ts', import.meta.url).href],
      workerData: { job, mutation },
    });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`a thread of the simulation ended with code ${code}`)));
  });
}

/** Seeds 1 to `count` of a saga, on so many threads. */
export async function simulateSeeds(
  saga: string,
  count: number,
  options: {
    threads: number;
    most?: number;
    shrinks?: boolean;
    mutation?: string | undefined;
    from?: number;
  },
): Promise<Tally> {
  const { threads, mutation, most = 3, shrinks = true, from = 1 } = options;
  const parts = await Promise.all(
    Array.from({ length: threads }, (_none, index) =>
      inThread<Tally>(
        {
          what: 'seeds',
          saga,
          range: { from: from + index, to: from + count, step: threads },
          options: { most, shrinks },
        },
        mutation,
      ),
    ),
  );
  const results: Record<string, number> = {};
  for (const part of parts)
    for (const [key, number] of Object.entries(part.results)) results[key] = (results[key] ?? 0) + number;
  const failures: Failure[] = parts.flatMap((part) => part.failures).sort((a, b) => a.seed - b.seed);
  return { seeds: parts.reduce((sum, part) => sum + part.seeds, 0), results, failures };
}

export const replaySeed = (saga: string, seed: number, mutation?: string): Promise<Replay> =>
  inThread({ what: 'seed', saga, seed }, mutation);
export const replayScenario = (text: string, mutation?: string): Promise<Replay> =>
  inThread({ what: 'scenario', text }, mutation);
