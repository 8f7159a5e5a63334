import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { VsError } from '../../shared/errors.ts';

/** Step n brings a database of schema n to schema n + 1; a published step is never changed. */
export const migrations: readonly string[] = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE retained (topic TEXT PRIMARY KEY, payload BLOB NOT NULL, qos INTEGER NOT NULL);
   CREATE TABLE sessions (client TEXT PRIMARY KEY, user TEXT NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE subscriptions (client TEXT NOT NULL, filter TEXT NOT NULL, options TEXT NOT NULL,
     PRIMARY KEY (client, filter)) WITHOUT ROWID;
   CREATE TABLE queue (seq INTEGER PRIMARY KEY, client TEXT NOT NULL, cmd TEXT NOT NULL, topic TEXT, payload BLOB,
     qos INTEGER, message_id INTEGER);
   CREATE TABLE incoming (client TEXT NOT NULL, message_id INTEGER NOT NULL, topic TEXT NOT NULL,
     payload BLOB NOT NULL, retain INTEGER NOT NULL, PRIMARY KEY (client, message_id)) WITHOUT ROWID;
   CREATE TABLE wills (client TEXT PRIMARY KEY, broker TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
     qos INTEGER NOT NULL, retain INTEGER NOT NULL);`,
];

/** The first columns of each table that make its key. */
export const keys = {
  meta: 1,
  retained: 1,
  sessions: 1,
  subscriptions: 2,
  queue: 1,
  incoming: 2,
  wills: 1,
} as const;
export type Table = keyof typeof keys;
export type Value = string | number | Uint8Array | null;

const BUSY = 5;
const damage = new Set([11, 26]); // SQLITE_CORRUPT, SQLITE_NOTADB
export const errorCode = (error: unknown): number =>
  (error as { errcode?: number } | null)?.errcode ?? Number.NaN;
/** Is this what SQLite says of a file that is not whole? Extended codes have the plain one in their low byte. */
export const isDamage = (error: unknown): boolean => damage.has(errorCode(error) & 0xff);

function syncDirectory(file: string): void {
  const directory = openSync(dirname(file), 'r');
  fsyncSync(directory);
  closeSync(directory);
}

/** A connection that keeps the file to itself; what it commits survives a power cut (fsync of the WAL at each commit). */
export function connectDatabase(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 3000 });
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    db.exec('PRAGMA journal_size_limit = 67108864');
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

const versionOf = (db: DatabaseSync): number =>
  Number(db.prepare('PRAGMA user_version').get()?.['user_version']);

function prepare(file: string, steps: readonly string[]): DatabaseSync {
  const db = connectDatabase(file);
  try {
    const version = versionOf(db);
    if (version > steps.length)
      throw new VsError(
        'failed',
        `${file} was written by a newer version of vs-tools (schema ${version}, this one knows ${steps.length}): run that version, or move the file away and start empty`,
      );
    const check = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
    if (check !== 'ok') throw Object.assign(new Error(String(check)), { errcode: 11 });
    for (let step = version; step < steps.length; step++) {
      db.exec('BEGIN IMMEDIATE');
      db.exec(`${steps[step]}; PRAGMA user_version = ${step + 1}`);
      db.exec('COMMIT');
    }
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Opens the broker's database, brings it to this version's schema, and hands it to `read`. A damaged file is set aside
 * with the date, and an empty one takes its place; `setAside` tells where it went. One of a newer version, or of a
 * broker that runs, is refused.
 */
export function readDatabase<T>(
  file: string,
  read: (db: DatabaseSync) => T,
  steps: readonly string[] = migrations,
): { value: T; setAside?: string } {
  const attempt = (): T => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    if (!existsSync(file)) {
      closeSync(openSync(file, 'a', 0o600)); // the WAL gets the mode of the file
      syncDirectory(file);
    }
    const db = prepare(file, steps);
    try {
      return read(db);
    } finally {
      db.close();
    }
  };
  try {
    return { value: attempt() };
  } catch (error) {
    if (error instanceof VsError) throw error;
    if ((errorCode(error) & 0xff) === BUSY)
      throw new VsError('failed', `${file} is in use by another broker`, { cause: error });
    if (!isDamage(error))
      throw new VsError('failed', `${file} cannot be opened: ${(error as Error).message}`, { cause: error });
    const setAside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
    for (const end of ['', '-wal', '-shm'])
      if (existsSync(file + end)) renameSync(file + end, setAside + end);
    syncDirectory(file);
    return { value: attempt(), setAside };
  }
}
