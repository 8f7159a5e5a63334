/** One `name=value` of a line, with where it and its value stand (columns from 1). */
export interface Word {
  name: string;
  value: string;
  column: number;
  valueColumn: number;
}
/** Tells one fault of a line: where, what stands there, what was expected. */
export type Report = (column: number, found: string, expected: string) => void;

const clip = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}...` : text);
/** A value as faults quote it: short, and without control characters. */
export const quoted = (text: string): string => `"${clip(text).replaceAll(/\p{Cc}/gu, '?')}"`;

const word = /([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|'[^']*'|[^\s"'#][^\s"']*|)(?=\s|$)/y;

/** The words of a line, as a shell would take assignments: blanks between, quotes around, # begins a comment. Undefined after a fault. */
export function wordsOf(line: string, report: Report): Word[] | undefined {
  const words: Word[] = [];
  let at = 0;
  for (;;) {
    at += /^\s*/.exec(line.slice(at))?.[0].length ?? 0;
    if (at >= line.length || line[at] === '#') return words;
    word.lastIndex = at;
    const [all, name = '', raw = ''] = word.exec(line) ?? [];
    if (all === undefined) {
      report(at + 1, quoted(line.slice(at).split(/\s/)[0] ?? ''), 'NAME=value, with quotes around blanks');
      return undefined;
    }
    const isQuoted = raw.startsWith('"') || raw.startsWith("'");
    words.push({
      name,
      value: isQuoted ? raw.slice(1, -1) : raw,
      column: at + 1,
      valueColumn: at + name.length + 2,
    });
    at += all.length;
  }
}
