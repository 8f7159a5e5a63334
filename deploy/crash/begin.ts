import { setTimeout as sleep } from 'node:timers/promises';
import { type Row, atRow, journalsIn, rowsOf } from './line.ts';
import { sagas } from './sagas.ts';
import { type World, ask, journalOf, pidOf, web1 } from './world.ts';

/** Before a row of the journal of the move that a saga begins: `web1: pnr`. */
export const CHILD = `${web1.name}: `;

/** Holds a process, or lets it go on. */
export const hold = (pid: number | undefined, signal: 'SIGSTOP' | 'SIGCONT'): void => {
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
  if (back && spec.abortAt === undefined) return [];
  await spec.ready(world);
  const known = new Set(journalsIn(world.journals));
  const isNew = (id: string) => id.startsWith(`${spec.kind}-`) && !known.has(`${id}.jsonl`);
  let id: string | undefined;
  if (back && spec.abortAt !== undefined) {
    const aborted = abortAtStep(world, spec.abortAt, isNew);
    spec.begin(world).catch(() => undefined);
    id = await aborted;
  } else id = await spec.begin(world);
  if (!id || !(await endOf(world, id, 120_000))) throw new Error(`a ${saga} without faults does not end`);
  await spec.after?.(world);
  const rows = rowsOf(journalOf(world, id)).filter((row) => row.startsWith('undo: ') === back);
  return back ? rows : [...rows, ...(spec.childRows ?? []).map((row) => CHILD + row)];
}

/** Has a person abort a saga while a step is at work: held there until the broker has the command. */
export async function abortAtStep(
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

/** Is it a journal that was not there before: of the saga itself, or of the move of web1 that it begins? */
export function newJournals(world: World, kind: string) {
  const known = new Set(journalsIn(world.journals));
  const isNew = (id: string, prefix: string) => id.startsWith(`${prefix}-`) && !known.has(`${id}.jsonl`);
  const ofWeb1 = (id: string) => {
    const made = journalOf(world, id)[0]?.['plan'] as { plan?: { name?: string } } | undefined;
    return made?.plan?.name === web1.name;
  };
  return {
    own: (id: string) => isNew(id, kind),
    child: (id: string) => isNew(id, 'move') && ofWeb1(id),
    /** Its id, once there is one. */
    id: () =>
      journalsIn(world.journals)
        .map((file) => file.slice(0, -'.jsonl'.length))
        .find((id) => isNew(id, kind)),
  };
}
