import { VsError } from '../../shared/errors.ts';
import type { Parse } from './values.ts';
import { type Report, type Word, quoted, wordsOf } from './words.ts';

/** A bigger file is none that a person wrote. */
export const MOST_CHARACTERS = 65_536;
const MOST_FAULTS = 50;

/** A line that says something. */
export interface Line {
  number: number;
  first: Word;
  more: Word[];
  report: Report;
}
/** The value of a word by its parser; undefined after a fault. */
export function valueOf<T>(word: Word | undefined, parse: Parse<T>, report: Report): T | undefined {
  if (!word) return undefined;
  try {
    return parse(word.value);
  } catch (error) {
    report(word.valueColumn, quoted(word.value), (error as Error).message);
    return undefined;
  }
}
/** Options that a key does not take, and any that comes twice. */
export function refuseOthers(words: Word[], known: string[], report: Report): void {
  const seen = new Set<string>();
  for (const { name, column } of words) {
    if (!known.includes(name))
      report(column, quoted(name), known.length > 0 ? `one of ${known.join(', ')}` : 'the end of the line');
    else if (seen.has(name)) report(column, quoted(name), `${name} only once`);
    seen.add(name);
  }
}

/** Takes a file apart, and collects its faults. */
export function collect(text: string, file: string) {
  const faults: string[] = [];
  const lines: Line[] = [];
  if (text.length > MOST_CHARACTERS)
    return {
      lines,
      faults: [`${file}:1:1: found ${text.length} characters, expected at most ${MOST_CHARACTERS}`],
    };
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const report: Report = (column, found, expected) =>
      void faults.push(`${file}:${index + 1}:${column}: found ${found}, expected ${expected}`);
    const words = wordsOf(
      raw.replace(/^(\s*)export\s/, (all: string) => ' '.repeat(all.length)),
      report,
    );
    const [first, ...more] = words ?? [];
    if (first) lines.push({ number: index + 1, first, more, report });
  }
  return { lines, faults };
}

/** Throws VsError usage with the faults of a file, in the order of its lines. */
export function fail(faults: string[]): never {
  const byLine = (one: string) => Number(/:(\d+):\d+: found /.exec(one)?.[1] ?? 0);
  const sorted = faults.toSorted((one, other) => byLine(one) - byLine(other));
  const more = sorted.length - MOST_FAULTS;
  throw new VsError(
    'usage',
    [...sorted.slice(0, MOST_FAULTS), ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
  );
}
