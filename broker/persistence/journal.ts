import { Worker } from 'node:worker_threads';
import type { Log } from '../../shared/log.ts';
import { type Table, type Value, isDamage, keys } from './database.ts';
import type { Change, Outcome } from './writer.ts';

interface Batch {
  changes: Map<string, Change>;
  done: Promise<void>;
  resolve: () => void;
  reject: (error: Error) => void;
}

function newBatch(): Batch {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined); // a batch that nobody waits for may fail too
  return { changes: new Map(), done: promise, resolve, reject };
}

/** Changes that nobody waits for may collect for so long; others leave at once, or when the disk is free. */
const LAZY = 50;
const RETRY = 1000;

/**
 * Group commit: changes collect in memory while the disk is busy with the ones before, and go to it as one transaction.
 * A change says what a row is from now on, so the last one of a row stands for all, and one may be written twice.
 */
export function openJournal(options: { file: string; log: Log; onFatal: (error: Error) => void }) {
  const { file, log, onFatal } = options;
  const worker = new Worker(new URL('writer.ts', import.meta.url), { workerData: { file } });
  let next = newBatch();
  let now: Batch | undefined;
  let lazy: NodeJS.Timeout | undefined;
  let soon: NodeJS.Immediate | undefined;
  let failing = false;
  let closed = false;

  function flush(): void {
    clearTimeout(lazy);
    clearImmediate(soon);
    lazy = soon = undefined;
    if (now || next.changes.size === 0) return;
    now = next;
    next = newBatch();
    worker.postMessage([...now.changes.values()], []);
  }

  worker.on('message', (outcome: Outcome) => {
    const batch = now;
    if (!batch) return;
    if (outcome.ok) {
      if (failing) log.info({ file }, 'the database takes writes again');
      failing = false;
      now = undefined;
      batch.resolve();
      flush();
    } else if (isDamage({ errcode: outcome.code }))
      onFatal(new Error(`${file} is damaged: ${outcome.message}`));
    else {
      if (!failing)
        log.error({ file, error: outcome.message }, 'nothing can be stored, so nothing is acknowledged');
      failing = true;
      setTimeout(() => worker.postMessage([...batch.changes.values()], []), RETRY);
    }
  });
  worker.on('error', (error) => onFatal(error as Error));
  const exited = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      resolve();
      if (!closed) onFatal(new Error(`the writer of ${file} ended with ${code}`));
    });
  });

  function change(table: Table, row: Value[], gone: boolean): void {
    if (closed) return;
    const key = row.slice(0, keys[table]);
    next.changes.set(JSON.stringify([table, ...key]), { table, row: gone ? key : row, gone });
    lazy ??= setTimeout(flush, LAZY);
  }

  return {
    /** The row with the key of this one is this one from now on. */
    put: (table: Table, row: Value[]) => change(table, row, false),
    remove: (table: Table, key: Value[]) => change(table, key, true),
    /** Resolves once all that was put or removed so far is on the disk. */
    commit(): Promise<void> {
      if (next.changes.size === 0) return now?.done ?? Promise.resolve();
      soon ??= setImmediate(flush);
      return next.done;
    },
    /** Writes what is left, for two seconds at most, and lets the file go. */
    async close(): Promise<void> {
      if (closed) return exited;
      const last = this.commit();
      closed = true;
      await Promise.race([last, new Promise((resolve) => setTimeout(resolve, 2000).unref())]);
      for (const batch of [now, next]) batch?.reject(new Error('the broker ends'));
      worker.postMessage(null, []);
      await exited;
    },
  };
}
export type Journal = ReturnType<typeof openJournal>;
