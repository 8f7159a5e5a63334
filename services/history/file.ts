import { closeSync, existsSync, mkdirSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { VsError } from '../../shared/errors.ts';

const SCHEMA = 1;
const tables = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
  CREATE TABLE series (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL,
    last INTEGER NOT NULL, UNIQUE (kind, subject));
  ${[10, 60, 600]
    .map(
      (
        step,
      ) => `CREATE TABLE points_${step} (series INTEGER NOT NULL, ts INTEGER NOT NULL, n INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (series, ts)) WITHOUT ROWID;`,
    )
    .join('\n')}
  PRAGMA user_version = ${SCHEMA}`;

/** SQLITE_CORRUPT, SQLITE_NOTADB; extended codes have the plain one in their low byte. */
export const isDamage = (error: unknown): boolean =>
  [11, 26].includes(((error as { errcode?: number } | null)?.errcode ?? 0) & 0xff);

const metaOf = (db: DatabaseSync, key: string): number | undefined => {
  const value = db.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value'];
  return value === undefined ? undefined : Number(value);
};

function connect(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 3000 });
  try {
    const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version > SCHEMA)
      throw new VsError(
        'failed',
        `${file} was written by a newer version of vs-tools (schema ${version}, this one knows ${SCHEMA}): run that version, or move the file away and begin anew`,
      );
    if (version === 0) db.exec('PRAGMA auto_vacuum = INCREMENTAL');
    // NORMAL: the file is whole after a power cut, and what was written in the last seconds may be missing
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216');
    if (version === 0) db.exec(`BEGIN; ${tables}; COMMIT`);
    // after a life that did not end in order the whole file is looked at once
    if (metaOf(db, 'open') === 1) {
      const check = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
      if (check !== 'ok') throw Object.assign(new Error(String(check)), { errcode: 11 });
    }
    db.exec(`INSERT OR REPLACE INTO meta VALUES ('open', 1)`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Files that were put aside: at most one, for it may be as large as the other. */
export const asideFiles = (file: string): string[] =>
  existsSync(dirname(file))
    ? readdirSync(dirname(file))
        .filter((name) => name.startsWith(`${basename(file)}.damaged-`))
        .map((name) => join(dirname(file), name))
    : [];

function putAside(file: string): string {
  for (const old of asideFiles(file)) rmSync(old);
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  for (const end of ['', '-wal', '-shm']) if (existsSync(file + end)) renameSync(file + end, aside + end);
  return aside;
}

/** Opens the file, or makes it. `damaged`: what it held before is damaged; it lies aside, and a new one has begun. */
export function openFile(file: string, damaged = false): { db: DatabaseSync; aside?: string } {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  let aside = damaged ? putAside(file) : undefined;
  const attempt = () => {
    closeSync(openSync(file, 'a', 0o600)); // SQLite gives its other files the same mode
    return connect(file);
  };
  let db: DatabaseSync;
  try {
    db = attempt();
  } catch (error) {
    if (!isDamage(error)) throw error;
    aside = putAside(file);
    db = attempt();
  }
  return { db, ...(aside === undefined ? {} : { aside }) };
}

export function closeFile(db: DatabaseSync): void {
  try {
    db.exec(`INSERT OR REPLACE INTO meta VALUES ('open', 0)`);
  } finally {
    db.close();
  }
}
