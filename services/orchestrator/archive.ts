import { closeSync, existsSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Line } from './journal.ts';

export interface Finished {
  state: SagaState;
  journal: Line[];
}
const SCHEMA = 1;
const DAY_MS = 86_400_000;

function connect(file: string): DatabaseSync {
  if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600)); // SQLite gives its other files the same mode
  const db = new DatabaseSync(file, { timeout: 3000 });
  try {
    // what a commit says is on the disk: the journal is removed after it
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS sagas (id TEXT PRIMARY KEY, started INTEGER NOT NULL, ended INTEGER NOT NULL,
        names TEXT NOT NULL, state TEXT NOT NULL, journal BLOB NOT NULL) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS sagas_started ON sagas (started); PRAGMA user_version = ${SCHEMA}`);
    db.prepare('SELECT count(*) FROM sagas').get();
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** SQLITE_CORRUPT, SQLITE_NOTADB */
const isDamage = (error: unknown): boolean =>
  [11, 26].includes(((error as { errcode?: number }).errcode ?? 0) & 0xff);

/**
 * The finished sagas in one file of SQLite, journals compressed. It is for people, and never holds up what is not finished:
 * a file that is damaged is put aside and a new one is begun; what cannot be read otherwise is told by `warn` and is empty.
 */
export function openArchive(file: string, warn: (message: string) => void) {
  let db: DatabaseSync | undefined;
  function open(): DatabaseSync {
    if (db) return db;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    try {
      db = connect(file);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const aside = `${file}.damaged-${Date.now()}`;
      warn(`the archive of sagas is damaged; it lies in ${aside} now, and a new one begins`);
      for (const end of ['', '-wal', '-shm']) if (existsSync(file + end)) renameSync(file + end, aside + end);
      db = connect(file);
    }
    return db;
  }
  function read<T>(what: (db: DatabaseSync) => T, otherwise: T): T {
    try {
      return what(open());
    } catch (error) {
      warn(`the archive of sagas ${file} cannot be read: ${String(error)}`);
      return otherwise;
    }
  }
  const stateOf = (row: unknown) => JSON.parse((row as { state: string }).state) as SagaState;
  return {
    /** Durable when it returns. Throws what SQLite does, on a full disk for one. */
    add(all: Finished[]): void {
      const into = open();
      const put = into.prepare('INSERT OR REPLACE INTO sagas VALUES (?, ?, ?, ?, ?, ?)');
      into.exec('BEGIN');
      try {
        for (const { state, journal } of all) {
          const names = ` ${[state.vserver, ...(state.also ?? [])].join(' ')} `;
          const packed = gzipSync(JSON.stringify(journal));
          put.run(
            state.id,
            state.started,
            state.ended ?? state.started,
            names,
            JSON.stringify(state),
            packed,
          );
        }
        into.exec('COMMIT');
      } catch (error) {
        if (into.isTransaction) into.exec('ROLLBACK');
        throw error;
      }
    },
    has: (id: string): boolean =>
      read((from) => from.prepare('SELECT 1 FROM sagas WHERE id = ?').get(id) !== undefined, false),
    get: (id: string): Finished | undefined =>
      read((from) => {
        const row = from.prepare('SELECT state, journal FROM sagas WHERE id = ?').get(id);
        if (!row) return undefined;
        const journal = gunzipSync(row['journal'] as Uint8Array).toString();
        return { state: stateOf(row), journal: JSON.parse(journal) as Line[] };
      }, undefined),
    /** The newest ones, of one vserver or of all. */
    list: (limit: number, vserver?: string): SagaState[] =>
      read((from) => {
        const name = vserver === undefined ? '' : ` ${vserver} `;
        const newest = `SELECT state FROM sagas WHERE ? = '' OR instr(names, ?) > 0 ORDER BY started DESC LIMIT ?`;
        return from.prepare(newest).all(name, name, limit).map(stateOf);
      }, []),
    /** Removes what is older than so many days, and the oldest beyond so many; answers the ids. */
    prune: (most: number, days: number, now: number): string[] =>
      read(
        (from) =>
          from
            .prepare(
              `DELETE FROM sagas WHERE ended < ? OR id IN (SELECT id FROM sagas ORDER BY started DESC LIMIT -1 OFFSET ?)
               RETURNING id`,
            )
            .all(now - days * DAY_MS, most)
            .map((row) => String(row['id'])),
        [],
      ),
    close(): void {
      db?.close();
      db = undefined;
    },
  };
}
export type Archive = ReturnType<typeof openArchive>;
