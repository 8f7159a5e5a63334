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

/** A saga that this much (ms) before was begun by somebody else. */
const SLACK_MS = 1000;

/** Begins backups and follows them to their end. What is begun stands in the book before, so that a killed process finds it again. */
export function openRuns(
  { bus, log }: Pick<Context, 'bus' | 'log'>,
  book: Book,
  ended: (one: Ended) => void,
) {
  const set = (name: string, entry: Attempts) => {
    book.vservers[name] = entry;
  };

  async function close(name: string, result: { saga?: SagaState; error?: string }): Promise<void> {
    const entry = book.vservers[name];
    if (!entry?.running) return;
    const now = Date.now();
    const { saga } = result;
    const id = saga?.id ?? entry.running.saga;
    const ok = saga?.result === 'done';
    const why = ok
      ? undefined
      : (result.error ?? saga?.error?.message ?? saga?.message ?? 'it did not end well');
    set(name, ok ? succeeded(entry, saga.ended ?? now) : failed(entry, why ?? '', now));
    await book.save();
    if (!ok) log.warn({ vserver: name, saga: id }, `the backup of ${name} failed: ${why}`);
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
    const { sagas } = await bus.request('master', 'orchestrator.sagas', { vserver: name, limit: 50 });
    return sagas
      .filter((one) => one.kind === 'backup' && one.started >= began - SLACK_MS)
      .toSorted((a, b) => a.started - b.started)[0];
  }

  /** What this process asked for, and has no answer to yet. */
  const asking = new Set<string>();

  return {
    async begin({ name, mode, repository, bandwidth, slot }: Begin): Promise<void> {
      const entry = book.vservers[name];
      if (!entry || entry.running) return;
      const began = Date.now();
      asking.add(name);
      try {
        const { asked: _, ...rest } = entry;
        set(name, { ...rest, attempt: began, running: { began, ...(slot === undefined ? {} : { slot }) } });
        await book.save();
        const { saga } = await bus.request(
          'master',
          'orchestrator.backup',
          {
            name,
            mode,
            ...(repository === undefined ? {} : { repository }),
            ...(bandwidth === undefined ? {} : { bandwidth }),
          },
          { timeoutMs: 600_000 },
        );
        const now = book.vservers[name];
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
      for (const [name, entry] of Object.entries(book.vservers)) {
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
