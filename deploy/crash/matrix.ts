import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { learnRows } from './begin.ts';
import { type Cell, type Result, runCell } from './cell.ts';
import { faults, fits } from './faults.ts';
import { sagas } from './sagas.ts';
import { cellText, head, repeatOf, rowHead } from './table.ts';
import { type Storage, type World, closeWorld, openWorld } from './world.ts';

export interface MatrixOptions {
  lab: string;
  sagas: string[];
  storages: Storage[];
  faults: string[];
  runs: number;
  /** Rows whose name has one of these texts in it, with commas between; `=NAME`: the row of that name alone. */
  only?: string;
  /** The delay (ms) after the line for every run; unless given, the first run is exact and the others are late at random. */
  delay?: number;
  list: boolean;
  /** A file of results, one a line: what is in it is not run again. */
  state?: string;
  signal: AbortSignal;
  say(text: string): void;
  /** Without a line end, for the table that grows. */
  write(text: string): void;
}

/** Delays after a line are at most that long (ms): most steps of the small vserver take less. */
const LATE_MS = 400;

export const isMeant = (row: string, only: string | undefined): boolean =>
  only === undefined ||
  only.split(',').some((part) => (part.startsWith('=') ? row === part.slice(1) : row.includes(part)));

const key = (cell: Cell & { run: number }): string =>
  [cell.saga, cell.storage, cell.row, cell.fault, cell.run].join('|');
const minutes = (ms: number): string =>
  ms < 90_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;

/** Runs the cells that are meant; the table grows on the way. Answers all results, of this run and of the file. */
export async function runMatrix(
  options: MatrixOptions,
): Promise<{ results: Result[]; rows: Map<string, string[]> }> {
  const { signal, say, write } = options;
  const results: Result[] = [];
  const known = new Map<string, Result>();
  if (options.state && existsSync(options.state))
    for (const line of readFileSync(options.state, 'utf8').split('\n').filter(Boolean)) {
      const one = JSON.parse(line) as Result & { run: number };
      known.set(key(one), one);
    }
  const rowsOfAll = new Map<string, string[]>();
  let world: World | undefined;
  const fresh = async (storage: Storage): Promise<World> => {
    await closeWorld(world, options.lab);
    world = undefined;
    const clocks = options.faults.some((fault) => faults[fault]?.set === 'clock');
    world = await openWorld(options.lab, storage, { clocks });
    return world;
  };
  try {
    for (const storage of options.storages) {
      await fresh(storage);
      for (const saga of options.sagas) {
        const spec = sagas[saga];
        if (!spec || !world) continue;
        const parts = spec.parts(world);
        const columns = options.faults.filter((fault) => fits(faults[fault], parts));
        const all = [...(await learnRows(world, saga, false)), ...(await learnRows(world, saga, true))];
        rowsOfAll.set(`${saga} ${storage}`, all);
        const rows = all.filter((row) => isMeant(row, options.only));
        if (options.list) {
          for (const row of rows) for (const fault of columns) say(repeatOf({ saga, storage, row, fault }));
          continue;
        }
        say(`\n${head(`${saga} on ${storage}`, columns)}`);
        const begun = Date.now();
        let ran = 0;
        for (const [at, row] of rows.entries()) {
          write(rowHead(row));
          for (const fault of columns) {
            const mine: Result[] = [];
            for (let run = 0; run < options.runs; run++) {
              if (signal.aborted) return { results, rows: rowsOfAll };
              const delay = options.delay ?? (run === 0 ? undefined : Math.random() * LATE_MS);
              const cell: Cell = { saga, storage, row, fault, ...(delay === undefined ? {} : { delay }) };
              const before = known.get(key({ ...cell, run }));
              const result: Result = before ?? (await oneCell(cell, world ?? (await fresh(storage))));
              mine.push(result);
              results.push(result);
              if (before) continue;
              ran++;
              if (options.state) appendFileSync(options.state, `${JSON.stringify({ ...result, run })}\n`);
              if (result.outcome !== 'VIOLATION') continue;
              await fresh(storage); // what went wrong must not hide what comes
              await spec.ready(world as World);
            }
            write(cellText(fault, mine));
          }
          const part = (at + 1) / rows.length;
          const left = ((Date.now() - begun) / part) * (1 - part);
          write(` ${Math.round(part * 100)} %${ran && left ? `, ${minutes(left)} left` : ''}\n`);
        }
      }
    }
  } finally {
    await closeWorld(world, options.lab);
  }
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
