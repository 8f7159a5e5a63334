import { readFile } from 'node:fs/promises';
import { VsError } from '../shared/errors.ts';

/** What is wrong in a line, and where: `at` is the place in it, counted from 0. */
export interface Fault {
  at: number;
  message: string;
}
/** An error that says where in the line each fault is. */
export const faulty = (...faults: Fault[]): Error =>
  Object.assign(new Error(faults.map(({ message }) => message).join('; ')), { faults });

/** A part of a line without the blanks around it, and where it begins. */
export interface Part {
  text: string;
  at: number;
}
const partOf = (raw: string, at: number): Part => ({
  text: raw.trim(),
  at: at + (raw.length - raw.trimStart().length),
});
/** The parts of a line between separators (a pattern with the flag g). */
export function partsOf({ text, at }: Part, separator: RegExp): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const { index, 0: found } of text.matchAll(separator)) {
    parts.push(partOf(text.slice(from, index), at + from));
    from = index + found.length;
  }
  return [...parts, partOf(text.slice(from), at + from)];
}

/**
 * Parses each line that is not blank or a comment; throws VsError 'usage' with every fault, by file and line, and by column
 * where it says in which place of the line it is.
 */
export function parseLines<T>(text: string, file: string, parse: (line: string, before: T[]) => T): T[] {
  const values: T[] = [];
  const faults: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = withoutComment(raw).trim();
    if (!line) continue;
    const indent = raw.length - raw.trimStart().length;
    try {
      values.push(parse(line, values));
    } catch (error) {
      const { message, faults: placed = [] } = error as Error & { faults?: Fault[] };
      const place = `${file}:${index + 1}`;
      if (placed.length === 0) faults.push(`${place}: ${message}`);
      for (const one of placed.toSorted((a, b) => a.at - b.at))
        faults.push(`${place}:${indent + one.at + 1}: ${one.message}`);
    }
  }
  if (faults.length > 0) throw new VsError('usage', faults.join('\n'));
  return values;
}

/** A line up to its comment: # at the beginning of a word and outside of quotes, as in a shell. */
export const withoutComment = (line: string): string =>
  /^(?:"[^"]*"|'[^']*'|(?<!\s|^)#|[^#])*/.exec(line)?.[0] ?? '';

/** The text of a file; empty when there is none. */
export async function readOptional(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
}
