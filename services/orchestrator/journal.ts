import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
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
    | 'return'
    | 'end';
  step?: string;
  [key: string]: unknown;
}
/** The disk has no room, of this kind: a file that goes makes some. */
const isFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');

/** A line before it is written; its time is that of writing. */
export type Entry = Omit<Line, 'ts'> & { kind: Line['kind'] };

/** The format of what is written now; the begin line names it. A journal without it is of before there were checksums. */
const VERSION = 2;
const NEWLINE = 0x0a;
/** Bytes kept for the sagas that run when the disk fills up: each needs some kilobytes to its end. */
const RESERVE = 128 * 1024;
const CHECKSUM = /^(.*),"crc":"([0-9a-f]{8})"\}$/s;

interface Parsed {
  line: Line;
  /** The checksum of this line and all before it. */
  crc: number;
}

/** The text of a line: its checksum, which goes on from that of the line before, stands last. */
export function lineText(line: Line, before: number): { text: string; crc: number } {
  const body = JSON.stringify(line).slice(0, -1);
  const crc = crc32(body, before);
  return { text: `${body},"crc":"${crc.toString(16).padStart(8, '0')}"}\n`, crc };
}

/** A line of a file; undefined when it is not what was written. */
function parseLine(record: Buffer, before: number, checked: boolean): Parsed | undefined {
  const text = record.toString();
  const match = CHECKSUM.exec(text);
  if (checked && !match) return undefined;
  try {
    if (!checked) return { line: JSON.parse(text) as Line, crc: 0 };
    const crc = crc32(match?.[1] ?? '', before);
    if (crc !== Number.parseInt(match?.[2] ?? '', 16)) return undefined;
    return { line: JSON.parse(`${match?.[1]}}`) as Line, crc };
  } catch {
    return undefined;
  }
}

export interface Journal {
  lines: Line[];
  /** Of the last line. */
  crc: number;
  checked: boolean;
  /** Bytes of the lines that count. */
  size: number;
  /** The last line is whole, but for the newline. */
  open: boolean;
}

/**
 * What a journal says. Of a line that was being written when the power went some part is there: none of its bytes, its
 * first ones, or all with zeros between; nothing had happened of what it announces, so it does not count. All else that is
 * not as it was written is damage: VsError with details {line, first?}, for nobody knows what is missing.
 */
export function parseJournal(content: Buffer, file: string): Journal {
  const journal: Journal = { lines: [], crc: 0, checked: false, size: 0, open: false };
  while (journal.size < content.length) {
    const end = content.indexOf(NEWLINE, journal.size);
    const record = content.subarray(journal.size, end < 0 ? content.length : end);
    const isLast = end < 0 || end === content.length - 1;
    if (journal.lines.length === 0) journal.checked = !isOld(record);
    const parsed = parseLine(record, journal.crc, journal.checked);
    if (!parsed || (end < 0 && !journal.checked)) {
      if (isLast && (end < 0 || record.includes(0))) break;
      throw damage(file, journal.lines);
    }
    if (journal.lines.length === 0 && Number(parsed.line['version'] ?? 1) > VERSION)
      throw new VsError('failed', `${file} was written by a newer version of vs-tools; run that one`);
    journal.lines.push(parsed.line);
    journal.crc = parsed.crc;
    journal.open = end < 0;
    journal.size += record.length + (end < 0 ? 0 : 1);
  }
  if (journal.lines.length === 0) journal.checked = true; // what is written to it is
  return journal;
}
/** The first line of a journal of before there were checksums. */
function isOld(record: Buffer): boolean {
  const text = record.toString();
  if (CHECKSUM.test(text)) return false;
  try {
    const line = JSON.parse(text) as Line;
    return !('crc' in line) && !('version' in line);
  } catch {
    return false;
  }
}

function damage(file: string, before: Line[]): VsError {
  const line = before.length + 1;
  return new VsError(
    'failed',
    `${file}:${line} is damaged: it is not as it was written. Find out where its vserver is and runs (vs scan), then move the file away`,
    { details: { line, ...(before[0] ? { first: before[0] } : {}) } },
  );
}

/** The journals of the sagas that are not archived yet: append-only files, each line fsynced before what it announces is done. */
export function openJournals(directory: string) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = (id: string) => join(directory, `${id}.jsonl`);
  /** What the ends of files are known to be. */
  const tails = new Map<string, Pick<Journal, 'crc' | 'checked' | 'size'>>();
  function syncDirectory(): void {
    const folder = openSync(directory, 'r');
    fsyncSync(folder);
    closeSync(folder);
  }
  /** Reads a journal; a torn last line is cut off. Throws VsError that names file and line when it is damaged. */
  function read(id: string): Line[] {
    const content = readFileSync(file(id));
    const journal = parseJournal(content, file(id));
    if (journal.open || journal.size < content.length) {
      const handle = openSync(file(id), 'r+');
      try {
        if (journal.open) journal.size += writeSync(handle, '\n', journal.size);
        ftruncateSync(handle, journal.size);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    }
    const { crc, checked, size } = journal;
    tails.set(id, { crc, checked, size });
    return journal.lines;
  }
  const reserve = join(directory, 'reserve');
  /** Makes the reserve when it is not there. Throws what the disk says. */
  function keepReserve(): void {
    if (existsSync(reserve)) return;
    try {
      writeFileSync(reserve, randomBytes(RESERVE), { mode: 0o600, flush: true }); // nothing that a file system could pack
    } catch (error) {
      rmSync(reserve, { force: true });
      throw error;
    }
  }
  /**
   * Durable when it returns; when it throws, the file is as it was. On a full disk the reserve goes for what was begun
   * already, since a vserver may just be stopped; nothing new begins until there is a reserve again.
   */
  function append(id: string, entry: Entry): void {
    if (entry.kind === 'begin') keepReserve();
    try {
      write(id, entry);
    } catch (error) {
      if (!isFull(error) || entry.kind === 'begin' || !existsSync(reserve)) throw error;
      rmSync(reserve);
      syncDirectory();
      write(id, entry);
    }
  }
  function write(id: string, entry: Entry): void {
    const size = statSync(file(id), { throwIfNoEntry: false })?.size;
    const isNew = size === undefined;
    if (!isNew && tails.get(id)?.size !== size) read(id);
    const tail = (isNew ? undefined : tails.get(id)) ?? { crc: 0, checked: true, size: 0 };
    const first =
      tail.size === 0 ? { ts: Date.now(), kind: entry.kind, version: VERSION } : { ts: Date.now() };
    const line = { ...first, ...entry };
    const { text, crc } = tail.checked
      ? lineText(line, tail.crc)
      : { text: `${JSON.stringify(line)}\n`, crc: 0 };
    const handle = openSync(file(id), 'a', 0o600);
    try {
      writeAll(handle, Buffer.from(text));
      fsyncSync(handle);
      if (isNew) syncDirectory();
    } catch (error) {
      tails.delete(id);
      if (isNew) rmSync(file(id), { force: true });
      else ftruncateSync(handle, tail.size);
      throw error;
    } finally {
      closeSync(handle);
    }
    tails.set(id, { ...tail, crc, size: tail.size + Buffer.byteLength(text) });
    if (entry.kind === 'end') tails.delete(id);
  }
  return {
    append,
    read,
    ids: (): string[] =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.jsonl'))
        .map((name) => name.slice(0, -'.jsonl'.length))
        .sort(),
    has: (id: string): boolean => existsSync(file(id)),
    /** Durable when it returns. */
    remove(ids: string[]): void {
      for (const id of ids) rmSync(file(id), { force: true });
      for (const id of ids) tails.delete(id);
      if (ids.length > 0) syncDirectory();
    },
  };
}
export type Journals = ReturnType<typeof openJournals>;

/** A write may take less than it was given when the disk is about full. */
function writeAll(handle: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done);
}

/** For who asked for what needs a line; `so`: what that means for it. */
export function notWritten(error: unknown, so: string): VsError {
  const why = error instanceof Error ? error.message : String(error);
  return new VsError('failed', `the journal of the saga cannot be written (${why}); ${so}`, { cause: error });
}
