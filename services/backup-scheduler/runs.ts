import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import type { Attempts, Book } from './book.ts';
import { type Begin, failed, succeeded } from './due.ts';

/** How one attempt ended. */
export interface Ended {
  vserver: string;
  ok: boolean;
  saga?: string;
  ms?: number;
  message?: string;
}

/** What is begun: backups, or tests of them. */
export interface Kind {
  kind: SagaState['kind'];
  /** What is attempted for each vserver. */
  entries: () => Record<string, Attempts>;
  ask: (begin: Begin) => Promise<{ saga: string }>;
  /** Ended badly, and to be tried again only at the next time of the schedule. */
  isFinal?: (saga: SagaState) => boolean;
}
/** A saga that this much (ms) before was begun by somebody else. */
const SLACK_MS = 1000;

/** Begins backups and follows them to their end. What is begun stands in the book before, so that a killed process finds it again. */
export function openRuns(
  { bus, log }: Pick<Context, 'bus' | 'log'>,
  book: Book,
  ended: (one: Ended) => void,
  { kind, entries, ask, isFinal }: Kind,
) {
  const set = (name: string, entry: Attempts) => {
    entries()[name] = entry;
  };

  async function close(name: string, result: { saga?: SagaState; error?: string }): Promise<void> {
    const entry = entries()[name];
    if (!entry?.running) return;
    const now = Date.now();
    const { saga } = result;
    const id = saga?.id ?? entry.running.saga;
    const ok = saga?.result === 'done';
    const why = ok
      ? undefined
      : (result.error ?? saga?.error?.message ?? saga?.message ?? 'it did not end well');
    const final = saga !== undefined && isFinal?.(saga) === true;
    set(name, ok ? succeeded(entry, saga.ended ?? now) : failed(entry, why ?? '', now, final));
    await book.save();
    if (!ok) log.warn({ vserver: name, saga: id }, `the ${kind} of ${name} failed: ${why}`);
    ended({
      vserver: name,
      ok,
      ...(id === undefined ? {} : { saga: id }),
      ms: (saga?.ended ?? now) - (saga?.started ?? entry.running.began),
      ...(why === undefined ? {} : { message: why.slice(0, 2000) }),
    });
  }

  /** The state of a saga; undefined when it is not known any more. */
  async function sagaOf(id: string): Promise<SagaState | undefined> {
    try {
      return (await bus.request('master', 'orchestrator.saga', { id })).saga;
    } catch (error) {
      if (error instanceof VsError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  /** The backup that a former life of this process asked for, if the orchestrator had begun it. */
  async function adopt(name: string, began: number): Promise<SagaState | undefined> {
    // what a test is about has another name than the vserver
    const of = kind === 'backup' ? { vserver: name, limit: 50 } : { limit: 200 };
    const { sagas } = await bus.request('master', 'orchestrator.sagas', of);
    return sagas
      .filter((one) => one.kind === kind && one.args['name'] === name && one.started >= began - SLACK_MS)
      .toSorted((a, b) => a.started - b.started)[0];
  }

  /** What this process asked for, and has no answer to yet. */
  const asking = new Set<string>();

  return {
    async begin(wanted: Begin): Promise<void> {
      const { name, slot } = wanted;
      const entry = entries()[name];
      if (!entry || entry.running) return;
      const began = Date.now();
      asking.add(name);
      try {
        const { asked: _, ...rest } = entry;
        set(name, { ...rest, attempt: began, running: { began, ...(slot === undefined ? {} : { slot }) } });
        await book.save();
        const { saga } = await ask(wanted);
        const now = entries()[name];
        if (now?.running) set(name, { ...now, running: { ...now.running, saga } });
        await book.save();
      } catch (error) {
        await close(name, { error: error instanceof Error ? error.message : String(error) });
      } finally {
        asking.delete(name);
      }
    },
    /** Looks how those that run are. A vserver that is asked for just now is left alone. */
    async follow(): Promise<void> {
      for (const [name, entry] of Object.entries(entries())) {
        const { running } = entry;
        if (!running || asking.has(name)) continue;
        if (running.saga === undefined) {
          const found = await adopt(name, running.began);
          if (found) set(name, { ...entry, running: { ...running, saga: found.id } });
          else {
            // it never began: what was due or asked for is so still
            const { running: _, ...rest } = entry;
            set(name, running.slot === undefined ? { ...rest, asked: running.began } : rest);
          }
          await book.save();
          continue;
        }
        const saga = await sagaOf(running.saga);
        if (!saga) await close(name, { error: `the saga ${running.saga} is not known any more` });
        else if (saga.result !== 'running') await close(name, { saga });
      }
    },
  };
}
export type Runs = ReturnType<typeof openRuns>;
