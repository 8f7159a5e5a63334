import { setTimeout as sleep } from 'node:timers/promises';
import { CHILD, abortAtStep, endOf, hold, newJournals } from './begin.ts';
import { faults } from './faults.ts';
import { alertOf, judge, logs } from './judge.ts';
import { type Row, atRow, rowsOf } from './line.ts';
import { sagas } from './sagas.ts';
import { type Storage, type World, allOnline, ask, journalOf, mendWorld, pidOf } from './world.ts';

/** One cell of the matrix: a saga on a storage, the line of its journal, and what breaks there. */
export interface Cell {
  saga: string;
  storage: Storage;
  row: Row;
  fault: string;
  /** undefined: exactly at the line, with the orchestrator held; else so long (ms) after it. */
  delay?: number;
}
export type Outcome = 'done' | 'undone' | 'stuck' | 'VIOLATION' | 'missed';
export interface Result extends Cell {
  outcome: Outcome;
  /** Why it is a violation, or was missed. */
  why: string[];
  id?: string;
  ms: number;
  /** The line that stood last in the journal when it was struck. */
  struckAt?: string;
  /** How long (ms) it took to be ready, to come to the line, to its end, and to be judged. */
  times?: Record<'ready' | 'line' | 'end' | 'judged', number>;
  /** What changed, as seen from outside, and the journal; for violations. */
  story?: unknown[];
}

/** Runs one cell. A world that is not clean at its end is a violation, and must not be used again. */
export async function runCell(world: World, cell: Cell): Promise<Result> {
  const begun = Date.now();
  const why: string[] = [];
  const spec = sagas[cell.saga];
  const fault = faults[cell.fault];
  if (!spec || !fault) throw new Error(`there is no ${cell.saga} or ${cell.fault} in the matrix`);
  const finish = (outcome: Outcome, more: Partial<Result> = {}): Result => ({
    ...cell,
    outcome,
    why,
    ms: Date.now() - begun,
    ...more,
  });
  if (!spec.after) await allOnline(world); // else it may have left one off, and mends that itself
  await spec.ready(world);
  const parts = spec.parts(world);
  const since = performance.timeOrigin + performance.now();
  const times = { ready: Date.now() - begun, line: 0, end: 0, judged: 0 };
  const journals = newJournals(world, spec.kind);

  const orchestrator = pidOf(world.lab, 'master', 'master');
  const exact = cell.delay === undefined;
  let struckAt = '';
  const back = cell.row.startsWith('undo: ');
  const ofChild = cell.row.startsWith(CHILD);
  const row = ofChild ? cell.row.slice(CHILD.length) : cell.row;
  const aborted = back ? abortAtStep(world, spec.abortAt ?? '', journals.own) : undefined;
  const reached = atRow(
    world.journals,
    ofChild ? journals.child : journals.own,
    row,
    (_id, lines) => {
      if (exact) hold(orchestrator, 'SIGSTOP');
      struckAt = rowsOf(lines).at(-1) ?? '';
    },
    120_000,
  );
  spec.begin(world).catch(() => undefined); // the answer may be lost with what is killed
  const struck = await reached;
  await aborted;
  const id = ofChild ? journals.id() : struck;
  times.line = Date.now() - begun;
  if (!struck || !id) {
    hold(orchestrator, 'SIGCONT');
    why.push(`the saga did not come to "${cell.row}"`);
    await endOf(world, journals.id() ?? '', 60_000);
    await spec.after?.(world);
    return finish('missed');
  }
  if (exact) struckAt = rowsOf(journalOf(world, struck)).at(-1) ?? struckAt;
  else await sleep(cell.delay);
  let result: 'done' | 'undone' | 'stuck' | undefined;
  let mending: Promise<void> = Promise.resolve();
  try {
    const mend = await fault.strike(world, parts);
    hold(orchestrator, 'SIGCONT');
    mending = mend(() => journalOf(world, id).at(-1)?.kind === 'end');
    mending.catch(() => undefined);
    result = await endOf(world, id, fault.endsWithin);
    times.end = Date.now() - begun;
    await mending;
    await spec.after?.(world);
  } catch (error) {
    why.push(`the fault itself failed: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    hold(orchestrator, 'SIGCONT');
    await mending.catch(() => undefined);
  }
  const wasStuck = result === 'stuck';
  if (wasStuck) {
    const alert = await alertOf(world, spec.about(parts));
    if (!alert) why.push('it is stuck, and no alert says so');
    await mendWorld(world);
    result = (await ask(world, 'master', 'orchestrator.resume', { id }, 180_000)).result as typeof result;
  }
  if (result !== 'done' && result !== 'undone')
    why.push(`it has no end ${fault.endsWithin / 1000} s after: ${result}`);
  else {
    const mustBe = back ? 'undone' : isPastPnr(world, struck, row) ? 'done' : undefined;
    const ended = ofChild ? await endOf(world, struck, 0) : result;
    if (mustBe && ended !== mustBe) why.push(`it ended ${ended}, not ${mustBe}`);
    why.push(...(await judge(world, cell.saga, parts, result)));
  }
  why.push(...world.watching.violations(since));
  times.judged = Date.now() - begun;
  const journal =
    struck === id ? journalOf(world, id) : [...journalOf(world, id), ...journalOf(world, struck)];
  const story =
    why.length > 0 ? [...world.watching.story(since), ...journal, ...(await logs(world))] : undefined;
  const outcome = why.length > 0 ? 'VIOLATION' : wasStuck ? 'stuck' : (result ?? 'VIOLATION');
  return finish(outcome, { id, struckAt, times, ...(story ? { story } : {}) });
}

/** Had the saga passed its point of no return at that row? By its own journal. */
function isPastPnr(world: World, id: string, row: Row): boolean {
  const rows = rowsOf(journalOf(world, id));
  return rows.includes('pnr') && rows.indexOf('pnr') <= rows.indexOf(row);
}
