import { DatabaseSync } from 'node:sqlite';
import { VsError } from './errors.ts';
import { createTurns } from './turns.ts';

const inTurn = createTurns();
/** Whoever holds it reads and writes one small file. */
const PATIENCE_MS = 10_000;

/**
 * Reads and changes a file while no other process does: SQLite's lock on FILE.lock is one of the kernel's (fcntl(2)), and
 * goes with its process, also by SIGKILL. Within a process one comes after the other.
 */
export function whileAlone<T>(file: string, work: () => Promise<T>): Promise<T> {
  return inTurn(file, async () => {
    const lock = new DatabaseSync(`${file}.lock`, { timeout: PATIENCE_MS });
    try {
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      throw new VsError('failed', `${file} is held by another process: ${(error as Error).message}`, {
        cause: error,
      });
    }
    try {
      return await work();
    } finally {
      lock.close();
    }
  });
}
