import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { learnRows } from './begin.ts';
import { type Cell, type Result, runCell } from './cell.ts';
import { faults, fits } from './faults.ts';
import { sagas } from './sagas.ts';
import { cellText, head, repeatOf, rowHead } from './table.ts';
import { type Storage, type World, closeWorld, openWorld } from './world.ts';

export interface MatrixOptions {
  lab: string;
  /** So many labs at once: most of the time a cell waits. */
  labs: number;
  sagas: string[];
  storages: Storage[];
  faults: string[];
  runs: number;
  /** Rows whose name has one of these texts in it, with commas between; `=NAME`: the row of that name alone. */
  only?: string;
  /** Only every `of`th cell of each table, beginning with number `nth` (from 1): parts of a matrix for several nights or machines. */
  part?: { nth: number; of: number };
  /** The delay (ms) after the line for every run; unless given, the first run is exact and the others are late at random. */
  delay?: number;
  list: boolean;
  /** A file of results, one a line: what is in it is not run again. */
  state?: string;
  signal: AbortSignal;
  say(text: string): void;
}

/** Delays after a line are at most that long (ms): most steps of the small vserver take less. */
const LATE_MS = 400;

export const isMeant = (row: string, only: string | undefined): boolean =>
  only === undefined ||
  only.split(',').some((part) => (part.startsWith('=') ? row === part.slice(1) : row.includes(part)));

/** Does the cell of these indices belong to the part? All columns of a row are in turn, and another one in the next row. */
export const isInPart = (
  row: number,
  column: number,
  columns: number,
  part: MatrixOptions['part'],
): boolean =>
  part === undefined ||
  (row * columns + column + (columns % part.of === 0 ? row : 0)) % part.of === part.nth - 1;

const key = (cell: Cell & { run: number }): string =>
  [cell.saga, cell.storage, cell.row, cell.fault, cell.run].join('|');
const minutes = (ms: number): string =>
  ms < 90_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;

type Table = Pick<Cell, 'saga' | 'storage'>;
const title = ({ saga, storage }: Table): string => `${saga} ${storage}`;

/** What earlier runs left in the file of results. */
function resultsIn(file: string | undefined): Map<string, Result> {
  const known = new Map<string, Result>();
  for (const line of file && existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []) {
    const one = JSON.parse(line) as Result & { run: number };
    known.set(key(one), one);
  }
  return known;
}

/** A lab of a storage that is there when it is needed, and made anew when it went wrong. */
function place(lab: string, clocks: boolean) {
  let world: World | undefined;
  return {
    async fresh(storage: Storage): Promise<World> {
      await closeWorld(world, lab);
      world = undefined;
      return (world = await openWorld(lab, storage, { clocks }));
    },
    async of(storage: Storage): Promise<World> {
      return world?.storage === storage ? world : this.fresh(storage);
    },
    close: () => closeWorld(world, lab),
  };
}

/** Runs the cells that are meant; the tables grow on the way. Answers all results, of this run and of the file. */
export async function runMatrix(
  options: MatrixOptions,
): Promise<{ results: Result[]; rows: Map<string, string[]> }> {
  const { signal, say } = options;
  const known = resultsIn(options.state);
  const results: Result[] = [];
  const can = ({ saga, storage }: Table) => sagas[saga]?.storages?.includes(storage) ?? true;
  const tables = options.storages
    .flatMap((storage) => options.sagas.map((saga) => ({ saga, storage })))
    .filter(can);
  const rowsOfAll = new Map(tables.map((table) => [title(table), [] as string[]]));
  const clocks = options.faults.some((fault) => faults[fault]?.set === 'clock');
  const keep = (result: Result): void => void results.push(result);

  async function runTable(at: ReturnType<typeof place>, { saga, storage }: Table): Promise<void> {
    const spec = sagas[saga];
    if (!spec) return;
    const world = await at.of(storage);
    const columns = options.faults.filter((fault) => fits(faults[fault], spec.parts(world)));
    const all = [...(await learnRows(world, saga, false)), ...(await learnRows(world, saga, true))];
    rowsOfAll.set(title({ saga, storage }), all);
    const rows = all.filter((row) => isMeant(row, options.only));
    if (options.list) {
      for (const [index, row] of rows.entries())
        for (const [column, fault] of columns.entries())
          if (isInPart(index, column, columns.length, options.part))
            say(repeatOf({ saga, storage, row, fault }));
      return;
    }
    say(`\n${head(`${saga} on ${storage}`, columns)}`);
    const begun = Date.now();
    let ran = 0;
    for (const [index, row] of rows.entries()) {
      let line = rowHead(row);
      for (const [column, fault] of columns.entries()) {
        if (!isInPart(index, column, columns.length, options.part)) {
          line += cellText(fault, []);
          continue;
        }
        const mine: Result[] = [];
        for (let run = 0; run < options.runs; run++) {
          if (signal.aborted) return;
          const delay = options.delay ?? (run === 0 ? undefined : Math.random() * LATE_MS);
          const cell: Cell = { saga, storage, row, fault, ...(delay === undefined ? {} : { delay }) };
          const before = known.get(key({ ...cell, run }));
          const result: Result = before ?? (await oneCell(cell, await at.of(storage)));
          mine.push(result);
          keep(result);
          if (before) continue;
          ran++;
          if (options.state) appendFileSync(options.state, `${JSON.stringify({ ...result, run })}\n`);
          // what went wrong must not hide what comes
          if (result.outcome === 'VIOLATION') await at.fresh(storage);
        }
        line += cellText(fault, mine);
      }
      const part = (index + 1) / rows.length;
      const left = ((Date.now() - begun) / part) * (1 - part);
      const whose = options.labs > 1 ? `${title({ saga, storage }).padEnd(20)} ` : '';
      say(`${whose}${line} ${Math.round(part * 100)} %${ran && left ? `, ${minutes(left)} left` : ''}`);
    }
  }
  const left = tables.values();
  async function worker(lab: string): Promise<void> {
    const at = place(lab, clocks);
    try {
      for (const table of left) {
        if (signal.aborted) return;
        await runTable(at, table).catch(async (error: unknown) => {
          const why = [error instanceof Error ? error.message : String(error)];
          say(`${title(table)}: ${why.join()}`);
          keep({ ...table, row: 'without a fault', fault: 'none', outcome: 'VIOLATION', why, ms: 0 });
          await at.fresh(table.storage);
        });
      }
    } finally {
      await at.close();
    }
  }
  const labs = Array.from({ length: options.labs }, (_, index) => `${options.lab}${index || ''}`);
  await Promise.all(labs.map(worker));
  return { results, rows: rowsOfAll };
}

/** A cell whose run itself fails is a violation too: the world is not what it was. */
async function oneCell(cell: Cell, world: World): Promise<Result> {
  const begun = Date.now();
  try {
    return await runCell(world, cell);
  } catch (error) {
    const why = [error instanceof Error ? error.message : String(error)];
    return { ...cell, outcome: 'VIOLATION', why, ms: Date.now() - begun };
  }
}
