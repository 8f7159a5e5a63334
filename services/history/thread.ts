import { Worker } from 'node:worker_threads';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import type { Query, Sample, Store } from './store.ts';
import type { Answer, Options, Work } from './worker.ts';

const CLOSE_MS = 10_000;

/**
 * The store in its thread. A thread that dies is begun anew with the next question; `damaged`: told where a damaged file was put.
 */
export function openThread(options: Options, damaged: (aside: string) => void) {
  let worker: Worker | undefined;
  let last = 0;
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();

  function gone(why: string): void {
    worker = undefined;
    for (const one of waiting.values())
      one.reject(new VsError('failed', `the history ${options.file}: its thread ended: ${why}`));
    waiting.clear();
  }
  function theWorker(): Worker {
    if (worker) return worker;
    const begun = (worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: options }));
    let fault = '';
    begun.on('message', (answer: Answer) => {
      if (answer.aside !== undefined) damaged(answer.aside);
      const one = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (answer.ok) one?.resolve(answer.value);
      else one?.reject(new VsError('failed', `the history ${options.file}: ${answer.message}`));
    });
    begun.on('error', (error: unknown) => (fault = String(error)));
    begun.on('exit', (code) => worker === begun && gone(fault || `code ${code}`));
    return begun;
  }
  function ask(work: Work): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { resolve, reject });
      theWorker().postMessage({ id, work }, []);
    });
  }
  return {
    add: (samples: Sample[]) => ask({ do: 'add', samples }),
    expire: (now: number) => ask({ do: 'expire', now }),
    query: (query: Query) => ask({ do: 'query', query }) as Promise<Data<'history.query'> | undefined>,
    info: () => ask({ do: 'info' }) as Promise<ReturnType<Store['info']>>,
    /** What was asked before is done; the file is whole and says so. */
    async close(): Promise<void> {
      if (!worker) return;
      const ending = worker;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
      await Promise.race([ask({ do: 'close' }).catch(() => undefined), late]);
      clearTimeout(timer);
      await ending.terminate();
    },
  };
}
