import { setTimeout as sleep } from 'node:timers/promises';
import { faults } from './faults.ts';
import { type Row, atRow, journalsIn, rowsOf } from './line.ts';
import { type Parts, type Wanted, sagas } from './sagas.ts';
import { readFile, readdir } from 'node:fs/promises';
import { paths } from '../lab/model.ts';
import {
  type Storage,
  type World,
  ask,
  hosts,
  journalOf,
  leftovers,
  lost,
  mendWorld,
  ownersOf,
  pidOf,
  web1,
} from './world.ts';

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
  /** What changed, as seen from outside, and the journal; for violations. */
  story?: unknown[];
}

const SETTLES_MS = 30_000;

const hold = (pid: number | undefined, signal: 'SIGSTOP' | 'SIGCONT'): void => {
  try {
    if (pid) process.kill(pid, signal);
  } catch {
    // it was what was killed
  }
};

/** The end of a saga, from its journal. */
export async function endOf(
  world: World,
  id: string,
  ms: number,
): Promise<'done' | 'undone' | 'stuck' | undefined> {
  const until = Date.now() + ms;
  for (;;) {
    const last = journalOf(world, id).at(-1);
    if (last?.kind === 'end') return last['result'] as 'done' | 'undone' | 'stuck';
    if (Date.now() > until) return undefined;
    await sleep(50);
  }
}

/** The rows of a saga: the lines of an undisturbed one, or of one that a person aborts. */
export async function learnRows(world: World, saga: string, back: boolean): Promise<Row[]> {
  const spec = sagas[saga];
  if (!spec) throw new Error(`there is no saga ${saga} in the matrix`);
  await spec.ready(world);
  const known = new Set(journalsIn(world.journals));
  const isNew = (id: string) => id.startsWith(`${spec.kind}-`) && !known.has(`${id}.jsonl`);
  let id: string | undefined;
  if (back) {
    const aborted = abortAtStep(world, spec.abortAt, isNew);
    spec.begin(world).catch(() => undefined);
    id = await aborted;
  } else id = await spec.begin(world);
  if (!id || !(await endOf(world, id, 120_000))) throw new Error(`a ${saga} without faults does not end`);
  return rowsOf(journalOf(world, id)).filter((row) => row.startsWith('undo: ') === back);
}

/** Has a person abort a saga while a step is at work: held there until the broker has the command. */
async function abortAtStep(
  world: World,
  step: string,
  isNew: (id: string) => boolean,
): Promise<string | undefined> {
  const pid = pidOf(world.lab, 'master', 'master');
  const id = await atRow(world.journals, isNew, `started ${step}`, () => hold(pid, 'SIGSTOP'), 60_000);
  if (!id) return undefined;
  ask(world, 'master', 'orchestrator.abort', { id }, 180_000).catch(() => undefined); // its answer is the saga's end
  await sleep(250);
  hold(pid, 'SIGCONT');
  return id;
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
  await spec.ready(world);
  const parts = spec.parts(world);
  const since = performance.timeOrigin + performance.now();
  const known = new Set(journalsIn(world.journals));
  const isNew = (id: string) => id.startsWith(`${spec.kind}-`) && !known.has(`${id}.jsonl`);

  const orchestrator = pidOf(world.lab, 'master', 'master');
  const exact = cell.delay === undefined;
  let struckAt = '';
  const back = cell.row.startsWith('undo: ');
  const aborted = back ? abortAtStep(world, spec.abortAt, isNew) : undefined;
  const reached = atRow(
    world.journals,
    isNew,
    cell.row,
    (_id, lines) => {
      if (exact) hold(orchestrator, 'SIGSTOP');
      struckAt = rowsOf(lines).at(-1) ?? '';
    },
    120_000,
  );
  spec.begin(world).catch(() => undefined); // the answer may be lost with what is killed
  const id = await reached;
  await aborted;
  if (!id) {
    hold(orchestrator, 'SIGCONT');
    why.push(`the saga did not come to "${cell.row}"`);
    await endOf(
      world,
      [...journalsIn(world.journals)].find((file) => isNew(file.slice(0, -6)))?.slice(0, -6) ?? '',
      60_000,
    );
    return finish('missed');
  }
  if (exact) struckAt = rowsOf(journalOf(world, id)).at(-1) ?? struckAt;
  else await sleep(cell.delay);
  let result: 'done' | 'undone' | 'stuck' | undefined;
  let mending: Promise<void> = Promise.resolve();
  try {
    const mend = await fault.strike(world, parts);
    hold(orchestrator, 'SIGCONT');
    mending = mend(() => journalOf(world, id).at(-1)?.kind === 'end');
    mending.catch(() => undefined);
    result = await endOf(world, id, fault.endsWithin);
    await mending;
  } catch (error) {
    why.push(`the fault itself failed: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    hold(orchestrator, 'SIGCONT');
    await mending.catch(() => undefined);
  }
  const wasStuck = result === 'stuck';
  if (wasStuck) {
    const alert = await alertOf(world, spec.about);
    if (!alert) why.push('it is stuck, and no alert says so');
    await mendWorld(world);
    result = (await ask(world, 'master', 'orchestrator.resume', { id }, 180_000)).result as typeof result;
  }
  if (result !== 'done' && result !== 'undone')
    why.push(`it has no end ${fault.endsWithin / 1000} s after: ${result}`);
  else {
    const mustBe = back ? 'undone' : isPastPnr(world, id, cell.row) ? 'done' : undefined;
    if (mustBe && result !== mustBe) why.push(`it ended ${result}, not ${mustBe}`);
    why.push(...(await judge(world, cell.saga, parts, result)));
  }
  why.push(...world.watching.violations(since));
  const story =
    why.length > 0
      ? [...world.watching.story(since), ...journalOf(world, id), ...(await logs(world))]
      : undefined;
  const outcome = why.length > 0 ? 'VIOLATION' : wasStuck ? 'stuck' : (result ?? 'VIOLATION');
  return finish(outcome, { id, struckAt, ...(story ? { story } : {}) });
}

/** The last lines of the logs of all nodes: services, and the runtime's own. */
async function logs(world: World): Promise<string[]> {
  const found: string[] = [];
  for (const node of ['master', ...hosts])
    for (const part of ['log', 'state/log']) {
      const directory = `${paths(world.lab.name).node(node)}/${part}`;
      for (const file of await readdir(directory).catch(() => [] as string[])) {
        const text = await readFile(`${directory}/${file}`, 'utf8').catch(() => '');
        found.push(`== ${node} ${file}`, ...text.trimEnd().split('\n').slice(-25));
      }
    }
  return found;
}

/** Had the saga passed its point of no return at that row? By its own journal. */
function isPastPnr(world: World, id: string, row: Row): boolean {
  const rows = rowsOf(journalOf(world, id));
  return rows.includes('pnr') && rows.indexOf('pnr') <= rows.indexOf(row);
}

/** Does an alert of the saga stand? */
async function alertOf(world: World, name: string): Promise<boolean> {
  const { run } = await import('../../shared/run.ts');
  const { hearing } = await import('../lab/lab.ts');
  const { options, env } = await hearing(world.lab, 'viewer');
  const argv = ['mosquitto_sub', ...options, '-t', `vs/1/master/alerts/${name}/saga`, '-C', '1', '-W', '5'];
  return (await run(argv, { okCodes: [0, 27], env })).stdout.trim() !== '';
}

/** What is wrong at the end, once it had time to settle: who owns, runs and answers, what is left, what is lost. */
export async function judge(
  world: World,
  saga: string,
  parts: Parts,
  result: 'done' | 'undone',
): Promise<string[]> {
  const wanted = sagas[saga]?.end(result, parts) ?? [];
  if (!wanted.some((one) => one.name === web1.name))
    wanted.push({ ...web1, place: ownersOf(world, web1.name)[0]?.host, runs: true });
  const until = Date.now() + SETTLES_MS;
  for (;;) {
    const wrong = await wrongNow(world, wanted);
    if (wrong.length === 0) break;
    if (Date.now() > until) return wrong;
    await sleep(300);
  }
  const home = wanted.find((one) => one.name === web1.name)?.place;
  return home ? lost(world, home) : ['nobody owns web1'];
}

async function wrongNow(world: World, wanted: Wanted[]): Promise<string[]> {
  const wrong: string[] = [];
  const { rows } = await ask(world, 'master', 'orchestrator.scan', {}, 10_000).catch((error: unknown) => {
    wrong.push(`the pool cannot be asked: ${String(error)}`);
    return { rows: [] };
  });
  for (const { name, address, place, runs } of wanted) {
    const owners = ownersOf(world, name).map((one) => one.host);
    if (owners.join() !== (place ?? ''))
      wrong.push(`${name} is owned by ${owners.join(' and ') || 'nobody'}, not by ${place ?? 'nobody'}`);
    const on = world.watching.runsOn(name).join();
    const want = (runs && place) || '';
    if (on !== want) wrong.push(`${name} runs on ${on || 'no host'}, not on ${want || 'none'}`);
    if (want && name === web1.name && !world.watching.answers(address)) wrong.push(`${name} does not answer`);
    const told = rows
      .filter((row) => row.vserver === name)
      .map((row) => `${row.host} ${row.state}`)
      .join();
    const state = place ? `${place} ${runs ? 'running' : 'stopped'}` : '';
    if (told !== state) wrong.push(`the pool says "${told}" of ${name}, not "${state}"`);
  }
  const left = await leftovers(world).catch((error: unknown) => [String(error)]);
  if (left.length > 0) wrong.push(`left behind: ${left.slice(0, 5).join(', ')}`);
  return wrong;
}
