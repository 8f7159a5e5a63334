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

/** A thread in which the machine is the simulated one; it does one job after the other. */
export interface Thread {
  do<T>(job: Job): Promise<T>;
  end(): Promise<number>;
}
export function openThread(mutation?: string): Thread {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    execArgv: ['--import', new URL('./hooks.ts', import.meta.url).href],
    workerData: { mutation },
  });
  let gone: Error | undefined;
  worker.on('error', (error: unknown) => void (gone ??= error as Error));
  worker.on(
    'exit',
    (code) => void (gone ??= new Error(`a thread of the simulation ended with code ${code}`)),
  );
  return {
    do: <T>(job: Job) =>
      new Promise<T>((resolve, reject) => {
        if (gone) return reject(gone);
        const ended = (code: number) =>
          failed(new Error(`a thread of the simulation ended with code ${code}`));
        const failed = (error: unknown) => {
          settled();
          reject(error as Error);
        };
        const answered = (answer: T) => {
          settled();
          resolve(answer);
        };
        function settled(): void {
          worker.off('message', answered).off('error', failed).off('exit', ended);
        }
        worker.on('message', answered).on('error', failed).on('exit', ended);
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows
        worker.postMessage(job);
      }),
    end: () => worker.terminate(),
  };
}
async function inThread<T>(job: Job, given?: Thread, mutation?: string): Promise<T> {
  const thread = given ?? openThread(mutation);
  try {
    return await thread.do<T>(job);
  } finally {
    if (!given) await thread.end();
  }
}

/** Seeds 1 to `count` of a saga, on so many new threads or on those that are there. */
export async function simulateSeeds(
  saga: string,
  count: number,
  options: {
    threads: number | Thread[];
    most?: number;
    shrinks?: boolean;
    mutation?: string | undefined;
    from?: number;
  },
): Promise<Tally> {
  const { mutation, most = 3, shrinks = true, from = 1 } = options;
  const isOurs = typeof options.threads === 'number';
  const threads = isOurs
    ? Array.from({ length: options.threads as number }, () => openThread(mutation))
    : (options.threads as Thread[]);
  const work = Promise.all(
    threads.map((thread, index) =>
      thread.do<Tally>({
        what: 'seeds',
        saga,
        range: { from: from + index, to: from + count, step: threads.length },
        options: { most, shrinks },
      }),
    ),
  );
  await Promise.allSettled([work]);
  if (isOurs) await Promise.all(threads.map((thread) => thread.end()));
  const parts = await work;
  const results: Record<string, number> = {};
  for (const part of parts)
    for (const [key, number] of Object.entries(part.results)) results[key] = (results[key] ?? 0) + number;
  const failures: Failure[] = parts.flatMap((part) => part.failures).sort((a, b) => a.seed - b.seed);
  return { seeds: parts.reduce((sum, part) => sum + part.seeds, 0), results, failures };
}

export const replaySeed = (saga: string, seed: number, mutation?: string): Promise<Replay> =>
  inThread({ what: 'seed', saga, seed }, undefined, mutation);
/** In a new thread, or in one that is there. */
export const replayScenario = (text: string, thread?: Thread, mutation?: string): Promise<Replay> =>
  inThread({ what: 'scenario', text }, thread, mutation);
