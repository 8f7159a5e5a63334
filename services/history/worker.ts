import { parentPort, workerData } from 'node:worker_threads';
import type { DatabaseSync } from 'node:sqlite';
import { closeFile, isDamage, openFile } from './file.ts';
import { type Query, type Sample, type Store, openStore } from './store.ts';
import { tiersFor } from './tiers.ts';

export interface Options {
  file: string;
  days: number;
  limitBytes: number;
}
export type Work =
  | { do: 'add'; samples: Sample[] }
  | { do: 'expire'; now: number }
  | { do: 'query'; query: Query }
  | { do: 'info' }
  | { do: 'close' };
export type Answer = { id: number } & (
  | { ok: true; value: unknown; aside?: string | undefined }
  | { ok: false; message: string; aside?: string | undefined }
);

/** The thread that has the file: SQLite waits for the disk, and the master meanwhile for nobody. */
const { file, days, limitBytes } = workerData as Options;
let open: { db: DatabaseSync; store: Store } | undefined;
/** Where a damaged file was put, until it is told. */
let aside: string | undefined;

function theStore(damaged = false): Store {
  if (!open) {
    const opened = openFile(file, damaged);
    aside = opened.aside ?? aside;
    open = { db: opened.db, store: openStore(opened.db, tiersFor(days)) };
  }
  return open.store;
}
function end(): void {
  if (open) closeFile(open.db);
  open = undefined;
}

function carryOut(work: Work, store: () => Store): unknown {
  if (work.do === 'add') return store().add(work.samples);
  if (work.do === 'expire') return store().expire(work.now, limitBytes);
  if (work.do === 'query') return store().query(work.query);
  if (work.do === 'info') return store().info();
  return end();
}
function answer(work: Work): { ok: true; value: unknown } | { ok: false; message: string } {
  try {
    return { ok: true, value: carryOut(work, theStore) };
  } catch (error) {
    if (!isDamage(error)) return { ok: false, message: (error as Error).message };
  }
  try {
    open?.db.close();
    open = undefined;
    theStore(true);
    return { ok: true, value: carryOut(work, theStore) };
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}

parentPort?.on('message', ({ id, work }: { id: number; work: Work }) => {
  const said = answer(work);
  const told: Answer = { id, ...said, ...(aside === undefined ? {} : { aside }) };
  aside = undefined;
  parentPort?.postMessage(told, []);
  if (work.do === 'close') parentPort?.close();
});
