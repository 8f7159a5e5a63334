/** Says what is wrong at a column, counted from 1. */
export type Report = (column: number, found: string, expected: string) => void;
/** One piece between blanks, commas and quotes. */
export interface Item {
  text: string;
  column: number;
  quoted?: true;
}
/** Items that commas join: `a,b` and `a , b` are one word. */
export interface Word {
  items: Item[];
  column: number;
  /** The column after it. */
  end: number;
}

/** A piece of a line as it may stand in a sentence: short, and nothing that moves a terminal. */
export function quote(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  const shown = short.replace(
    /(?! )[\p{C}\p{Z}"\\]/gu,
    (one) => `\\u{${one.codePointAt(0)?.toString(16) ?? ''}}`,
  );
  return `"${shown}"`;
}

/** A comment, quoted text, a comma, or what stands between those and blanks. */
const piece = /#.*|"[^"]*"?|,|[^\s#",]+/gs;

/** The words of a line up to its comment; undefined when a fault was reported. */
export function wordsOf(line: string, report: Report): Word[] | undefined {
  const words: Word[] = [];
  let comma: number | undefined;
  for (const { 0: text, index } of line.matchAll(piece)) {
    const column = index + 1;
    const [start] = text;
    if (start === '#') break;
    if (start === ',') {
      if (words.length === 0 || comma !== undefined) {
        report(column, 'a comma', 'a word before it');
        return undefined;
      }
      comma = column;
      continue;
    }
    if (start === '"' && (text.length < 2 || !text.endsWith('"'))) {
      report(column, `${quote(text.slice(1))} without its closing quote`, 'text in "quotes" on one line');
      return undefined;
    }
    const item: Item = start === '"' ? { text: text.slice(1, -1), column, quoted: true } : { text, column };
    const end = column + text.length;
    const last = words.at(-1);
    if (comma !== undefined && last) {
      last.items.push(item);
      last.end = end;
    } else words.push({ items: [item], column, end });
    comma = undefined;
  }
  if (comma === undefined) return words;
  report(comma, 'a comma at the end', 'a word after it');
  return undefined;
}

/** The text of a word that is one bare item; '' for lists and quoted text. */
export function bare(word: Word | undefined): string {
  const [item] = word?.items ?? [];
  return item && word?.items.length === 1 && !item.quoted ? item.text : '';
}

/** A word as it may stand in a sentence. */
export const shown = (word: Word | undefined): string =>
  word === undefined ? 'the end of the line' : quote(word.items.map((item) => item.text).join(','));
