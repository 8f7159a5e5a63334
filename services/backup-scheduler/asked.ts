import type { BackupRun } from '../../shared/contract/backup-scheduler.ts';
import type { Book } from './book.ts';
import type { Ended } from './runs.ts';

/** Who waits for the end of which backups. */
export function openAsked(book: Book) {
  const waiting = new Set<{ open: Set<string>; take: (one: Ended) => void }>();
  return {
    /** Notes that these are wanted now; answers once each has ended. `told`: each at its end. */
    ask(names: string[], told: (one: BackupRun) => void): Promise<BackupRun[]> {
      const now = Date.now();
      for (const name of names) {
        const entry = book.vservers[name];
        // one that runs already is as good
        if (entry && !entry.running) book.vservers[name] = { ...entry, asked: entry.asked ?? now };
      }
      const runs: BackupRun[] = [];
      const { promise, resolve } = Promise.withResolvers<BackupRun[]>();
      const one = {
        open: new Set(names),
        take(ended: Ended) {
          if (!one.open.delete(ended.vserver)) return;
          runs.push(ended);
          told(ended);
          if (one.open.size > 0) return;
          waiting.delete(one);
          resolve(runs);
        },
      };
      waiting.add(one);
      return promise;
    },
    ended(one: Ended): void {
      for (const each of waiting) each.take(one);
    },
    /** Rejects when the caller gives up; what was asked for goes on. */
    givenUp: (signal: AbortSignal): Promise<never> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
}
