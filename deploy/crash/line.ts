import { readFileSync, readdirSync, watch } from 'node:fs';
import type { Line } from '../../services/orchestrator/journal.ts';

/** A line of a journal as a row of the matrix: `started seed`, `pnr`, and `undo: undoing seed` once it goes back. */
export type Row = string;

/** The rows of a journal. The same line more than once (a step that was tried again) is one row. */
export function rowsOf(lines: Line[]): Row[] {
  const rows: Row[] = [];
  let back = '';
  for (const line of lines) {
    if (line.kind === 'abort') back = 'undo: ';
    const row = back + (line.step && line.kind !== 'pnr' ? `${line.kind} ${line.step}` : line.kind);
    if (!rows.includes(row)) rows.push(row);
  }
  return rows;
}

/** The whole lines of a journal that is being written. */
export function readLines(file: string): Line[] {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .flatMap((line) => {
      const json = /\{.*\}/.exec(line)?.[0];
      try {
        return json ? [JSON.parse(json) as Line] : [];
      } catch {
        return [];
      }
    });
}

/** The journals that lie in a directory. */
export const journalsIn = (directory: string): string[] => {
  try {
    return readdirSync(directory).filter((file) => file.endsWith('.jsonl'));
  } catch {
    return [];
  }
};

/**
 * Calls `act` at once, in the same turn, when the journal of a saga that was not there before has come to a row: its
 * writer still waits for the disk then. Answers the saga's id; undefined when the time (ms) ran out.
 */
export function atRow(
  directory: string,
  which: (id: string) => boolean,
  row: Row,
  act: (id: string, lines: Line[]) => void,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    let done = false;
    const end = (id?: string) => {
      done = true;
      watcher.close();
      clearInterval(poll);
      clearTimeout(timer);
      resolve(id);
    };
    const look = () => {
      for (const file of done ? [] : journalsIn(directory)) {
        const id = file.slice(0, -'.jsonl'.length);
        if (!which(id)) continue;
        const lines = readLines(`${directory}/${file}`);
        const rows = rowsOf(lines);
        if (rows.includes(row)) {
          act(id, lines);
          return end(id);
        }
        if (lines.at(-1)?.kind === 'end') return end(); // it never comes
      }
    };
    const watcher = watch(directory, look);
    const poll = setInterval(look, 20); // what the watcher misses
    const timer = setTimeout(end, timeoutMs);
    look();
  });
}
