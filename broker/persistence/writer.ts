import type { StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { type Table, type Value, connectDatabase, errorCode, keys } from './database.ts';

/** What a row is to be from now on: its columns, or its key alone when it is to go. */
export interface Change {
  table: Table;
  row: Value[];
  gone: boolean;
}
export type Outcome = { ok: true } | { ok: false; message: string; code: number };

/** The worker that writes: one message is one transaction and one fsync, so that the broker itself waits for no disk. */
const db = connectDatabase((workerData as { file: string }).file);
const statements = new Map<string, StatementSync>();
const marks = (count: number) => Array.from({ length: count }, () => '?').join(', ');

function statement({ table, row, gone }: Change): StatementSync {
  const name = `${table} ${gone}`;
  let known = statements.get(name);
  if (!known) {
    if (gone) {
      const columns = db.prepare(`SELECT * FROM ${table} LIMIT 0`).columns();
      const key = columns.slice(0, keys[table]).map((column) => `${column.name} = ?`);
      known = db.prepare(`DELETE FROM ${table} WHERE ${key.join(' AND ')}`);
    } else known = db.prepare(`INSERT OR REPLACE INTO ${table} VALUES (${marks(row.length)})`);
    statements.set(name, known);
  }
  return known;
}

function write(changes: Change[]): Outcome {
  try {
    db.exec('BEGIN IMMEDIATE');
    for (const change of changes) statement(change).run(...change.row);
    db.exec('COMMIT');
    return { ok: true };
  } catch (error) {
    try {
      db.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back already
    }
    return { ok: false, message: (error as Error).message, code: errorCode(error) };
  }
}

parentPort?.on('message', (changes: Change[] | null) => {
  if (changes) return parentPort?.postMessage(write(changes), []);
  db.close();
  parentPort?.close();
});
