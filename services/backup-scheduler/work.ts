import { lineOf } from '../../config/backup.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { Context } from '../../shared/service.ts';
import { createTurns } from '../../shared/turns.ts';
import { openAsked } from './asked.ts';
import { openBook } from './book.ts';
import { due, noted } from './due.ts';
import { openFile } from './file.ts';
import { openMaster } from './master.ts';
import { backupsOf, lookAtAll } from './look.ts';
import { lookAtPool } from './pool.ts';
import { pruneAll } from './prune.ts';
import { openRecords } from './records.ts';
import { openRuns } from './runs.ts';
import { openTelling } from './tell.ts';
import { openTests } from './tests.ts';
import { openVerifying } from './verifying.ts';

/** Backups that somebody took, removed or protected without the scheduler are seen that much later at most (ms). */
const ASK_MS = 600_000;

/** Sagas after whose end the records are others. */
const changing = (sagas: SagaState[]): string[] =>
  sagas
    .filter((one) => ['backup', 'backup-test'].includes(one.kind) && one.result === 'running')
    .map((one) => one.id);

/** The work of the scheduler: looks at all that may have changed, decides, begins, tells. */
export function openWork(context: Context) {
  const { settings, log } = context;
  const file = openFile(settings);
  const book = openBook(settings.STATE_DIR);
  const records = openRecords(context);
  const telling = openTelling(context);
  const asked = openAsked(book);
  const master = openMaster(context, book);
  const verifying = openVerifying(context, book, records);
  /** Vservers whose backups are to be looked through for what no rule keeps. */
  const toPrune = new Set<string>();
  const runs = openRuns(
    context,
    book,
    (one) => {
      stale = true;
      if (one.ok) toPrune.add(one.vserver);
      asked.ended(one);
    },
    {
      kind: 'backup',
      entries: () => book.vservers,
      ask: ({ name, mode, repository, bandwidth }) =>
        context.bus.request(
          'master',
          'orchestrator.backup',
          {
            name,
            mode,
            ...(repository === undefined ? {} : { repository }),
            ...(bandwidth === undefined ? {} : { bandwidth }),
          },
          { timeoutMs: 600_000 },
        ),
    },
  );
  const tests = openTests(context, book, () => (stale = true));
  let stale = true;
  let askedAt = 0;
  let pool: Awaited<ReturnType<typeof lookAtPool>> = { vservers: [], sagas: [] };
  let waits: ReadonlyMap<string, string> = new Map();
  let pruning: Promise<void> | undefined;
  const turns = createTurns();

  async function look(): Promise<void> {
    await file.look();
    const before = changing(pool.sagas);
    pool = await lookAtPool(context);
    const running = new Set(changing(pool.sagas));
    if (before.some((id) => !running.has(id))) stale = true; // somebody's backup has ended
    await runs.follow();
    await tests.follow();
    const now = Date.now();
    for (const { name } of pool.vservers) {
      const line = lineOf(file.lines, name);
      if (line) book.vservers[name] = noted(book.vservers[name], line, now);
    }
    tests.note(file.lines, pool.vservers, now);
    await book.save();
    if (!stale && Math.abs(now - askedAt) <= ASK_MS) return;
    stale = false;
    askedAt = now;
    await records.ask(pool.vservers.map((one) => one.name));
  }
  const lookedAt = () =>
    lookAtAll({ file, book: book.vservers, tests: book.tests, records, ...pool, waits, now: Date.now() });
  function tell(): void {
    const { states, alerts } = lookedAt();
    telling.states(states);
    telling.alerts(new Map([...alerts, ...master.alerts(file.master)]));
  }
  function decide(): ReturnType<typeof due> {
    const hostOf = (vserver: string) => pool.vservers.find((one) => one.name === vserver)?.host ?? '';
    const names = new Set(backupsOf(pool.sagas).map((one) => one.vserver));
    for (const [name, { running }] of Object.entries(book.vservers)) if (running) names.add(name);
    return due({
      now: Date.now(),
      lines: file.lines,
      vservers: pool.vservers,
      book: book.vservers,
      busy: [...names].map((vserver) => ({ vserver, host: hostOf(vserver) })),
      most: { all: settings.BACKUP_CONCURRENCY, perHost: settings.BACKUP_PER_HOST },
    });
  }
  async function pruneSome(): Promise<void> {
    for (const name of toPrune) {
      const [done] = await pruneAll(context, records, { lines: file.lines, names: [name], dryRun: false });
      if (done?.skipped === undefined) toPrune.delete(name);
    }
  }
  async function tick(): Promise<void> {
    await look();
    await master.look(file.master);
    const decided = decide();
    waits = decided.waits;
    tell();
    if (decided.begin.length > 0) {
      await Promise.all(decided.begin.map((one) => runs.begin(one)));
      pool = await lookAtPool(context);
      tell();
    }
    if (toPrune.size > 0 && !pruning)
      pruning = pruneSome()
        .catch((error: unknown) => log.warn({ error: String(error) }, 'old backups were not removed'))
        .finally(() => (pruning = undefined));
    verifying.next();
    const { vservers } = pool;
    await tests.next({ now: Date.now(), lines: file.lines, vservers, recordsOf: records.of });
  }

  return {
    file,
    book,
    records,
    asked,
    master,
    telling,
    get pool() {
      return pool;
    },
    lookedAt,
    /** Looks at all anew; `all`: also at the backups in the repositories. */
    look: (all = false): Promise<void> =>
      turns('work', () => {
        if (all) stale = true;
        return look();
      }),
    tick: (): Promise<void> => turns('work', tick),
  };
}
export type Work = ReturnType<typeof openWork>;
