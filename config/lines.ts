import { readFile } from 'node:fs/promises';
import { VsError } from '../shared/errors.ts';

/** Parses each line that is not blank or a comment; throws VsError 'usage' with every fault, by file and line. */
export function parseLines<T>(text: string, file: string, parse: (line: string, before: T[]) => T): T[] {
  const values: T[] = [];
  const faults: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = withoutComment(raw).trim();
    if (!line) continue;
    try {
      values.push(parse(line, values));
    } catch (error) {
      faults.push(`${file}:${index + 1}: ${(error as Error).message}`);
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
