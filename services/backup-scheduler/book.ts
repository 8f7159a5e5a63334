import { z } from 'zod';
import { repositoryName } from '../../shared/contract/backup.ts';
import { id, name, ts } from '../../shared/contract/names.ts';
import { readJson, writeJson } from '../../shared/store.ts';

/** What was attempted for one vserver. */
export const attempts = z.looseObject({
  /** From when on `plan` (its schedule and time zone) counts: what lay before is not caught up. */
  since: ts,
  plan: z.string(),
  /** The last run of the schedule that was dealt with: it succeeded, or was given up. */
  done: ts.optional(),
  /** On disk before it begins. `slot`: what the schedule said; absent when a person asked. */
  running: z.looseObject({ began: ts, slot: ts.optional(), saga: id.optional() }).optional(),
  /** A person wants one now. */
  asked: ts.optional(),
  attempt: ts.optional(),
  /** When the last one of the scheduler ended well. */
  success: ts.optional(),
  /** One after the other, without a success between them; and those of the run `failedSlot` of the schedule. */
  failures: z.int().min(0).default(0),
  failedSlot: ts.optional(),
  tries: z.int().min(0).default(0),
  retryAt: ts.optional(),
  error: z.string().max(1000).optional(),
});
export type Attempts = z.infer<typeof attempts>;

const kept = z.looseObject({
  version: z.literal(1),
  vservers: z.record(name, attempts),
  /** Of the master's own state. */
  master: attempts.optional(),
  /** The same of the tests of their backups. */
  tests: z.record(name, attempts).default({}),
  /** By repository: when the round of verification began. */
  rounds: z.record(repositoryName, ts).default({}),
});
export type Kept = z.infer<typeof kept>;

/** What the scheduler must not forget, in STATE_DIR/backup-scheduler.json. `save` returns once all that was changed before is on disk. */
export function openBook(stateDirectory: string) {
  const file = `${stateDirectory}/backup-scheduler.json`;
  let now: Kept = { version: 1, vservers: {}, tests: {}, rounds: {} };
  let writing: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;
  let written = '';
  return {
    async load(): Promise<void> {
      now = (await readJson(file, kept)) ?? now;
      written = JSON.stringify(now);
    },
    get vservers(): Record<string, Attempts> {
      return now.vservers;
    },
    get master(): Attempts | undefined {
      return now.master;
    },
    set master(entry: Attempts | undefined) {
      if (entry) now.master = entry;
      else delete now.master;
    },
    get tests(): Record<string, Attempts> {
      return now.tests;
    },
    get rounds(): Record<string, number> {
      return now.rounds;
    },
    /** What changes while one write runs goes into the next. */
    save(): Promise<void> {
      return (waiting ??= writing =
        writing
          .catch(() => undefined)
          .then(async () => {
            waiting = undefined;
            const text = JSON.stringify(now);
            if (text === written) return;
            await writeJson(file, kept, now);
            written = text;
          }));
    },
  };
}
export type Book = ReturnType<typeof openBook>;
