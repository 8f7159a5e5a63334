import {
  appendFileSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';

/** One line of a saga's journal. */
export interface Line {
  ts: number;
  kind:
    | 'begin'
    | 'waits'
    | 'resumed'
    | 'started'
    | 'succeeded'
    | 'retry'
    | 'failed'
    | 'undoing'
    | 'undone'
    | 'abort'
    | 'pnr'
    | 'end';
  step?: string;
  [key: string]: unknown;
}

/** Reads a journal. A torn last line (a power cut) is cut off; other damage stops with a sentence. */
export function readJournal(file: string): Line[] {
  const text = readFileSync(file, 'utf8');
  const whole = text.endsWith('\n') ? text : text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole !== text) truncateSync(file, Buffer.byteLength(whole));
  return whole
    .split('\n')
    .filter(Boolean)
    .map((line, index) => {
      try {
        return JSON.parse(line) as Line;
      } catch (error) {
        throw new VsError(
          'failed',
          `${file}:${index + 1} is damaged; move the file away to go on without this saga, after looking where its vserver is`,
          { cause: error },
        );
      }
    });
}

/** A line before it is written; its time is that of writing. */
export type Entry = Omit<Line, 'ts'> & { kind: Line['kind'] };

/** The journals of the sagas: append-only files, each line fsynced before what it announces is done. */
export function openJournals(directory: string) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = (id: string) => join(directory, `${id}.jsonl`);
  return {
    append(id: string, line: Entry): void {
      const handle = openSync(file(id), 'a', 0o600);
      try {
        appendFileSync(handle, `${JSON.stringify({ ts: Date.now(), ...line })}\n`);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
      if (line.kind === 'begin') {
        const folder = openSync(directory, 'r');
        fsyncSync(folder);
        closeSync(folder);
      }
    },
    read: (id: string): Line[] => readJournal(file(id)),
    ids: (): string[] =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.jsonl'))
        .map((name) => name.slice(0, -'.jsonl'.length))
        .sort(),
  };
}
export type Journals = ReturnType<typeof openJournals>;
