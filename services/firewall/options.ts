import { type Rate, type Unit, defaultLogRate } from './rule.ts';
import { type Report, type Word, bare, quote, shown } from './words.ts';

export interface Options {
  limit?: Rate;
  log?: { prefix?: string };
  comment?: string;
  helper?: 'ftp';
}
/** The words that begin an option: what stands before them is the protocol. */
export const optionWords = new Set(['limit', 'log', 'comment', 'helper']);

const units = new Set<string>(['second', 'minute', 'hour', 'day'] satisfies Unit[]);
const most = 1_000_000;
const seconds: Record<Unit, number> = { second: 1, minute: 60, hour: 3600, day: 86_400 };
/** The kernel keeps a burst as the time that it takes, in 64 bits of ns (net/netfilter/nft_limit.c). */
const mostBurst = (packets: number, unit: Unit): number =>
  Number((2n ** 64n - 1n) / ((BigInt(seconds[unit]) * 1_000_000_000n) / BigInt(packets)));
/** The words that are left, and where a line ends: so that a fault can point behind its last word. */
export interface Rest {
  words: Word[];
  end: number;
}
const columnOf = (rest: Rest) => rest.words[0]?.column ?? rest.end;

function whole(text: string): number | undefined {
  return /^\d{1,7}$/.test(text) && Number(text) >= 1 && Number(text) <= most ? Number(text) : undefined;
}

function parseRate(rest: Rest, burst: number, report: Report): Rate | undefined {
  const column = columnOf(rest);
  const word = rest.words.shift();
  const [count = '', unit = '', ...more] = bare(word).split('/');
  const packets = whole(count);
  if (packets === undefined || !units.has(unit) || more.length > 0) {
    report(column, shown(word), `a rate as 10/minute: 1 to ${most} packets a second, minute, hour or day`);
    return undefined;
  }
  const rate: Rate = { packets, unit: unit as Unit, burst };
  if (bare(rest.words[0]) !== 'burst') return rate;
  rest.words.shift();
  const at = columnOf(rest);
  const next = rest.words.shift();
  const number = whole(bare(next));
  if (number === undefined) {
    report(at, shown(next), `how many packets may come at once, 1 to ${most}`);
    return undefined;
  }
  const bound = mostBurst(packets, rate.unit);
  if (number > bound) {
    report(at, shown(next), `at most ${bound} packets at once with ${count}/${unit}`);
    return undefined;
  }
  return { ...rate, burst: number };
}

/** Text in quotes of at most so many characters that the pattern allows. */
function parseText(rest: Rest, what: string, allowed: RegExp, report: Report): string | undefined {
  const column = columnOf(rest);
  const word = rest.words.shift();
  const [item, ...others] = word?.items ?? [];
  if (item?.quoted && others.length === 0 && allowed.test(item.text)) return item.text;
  report(column, shown(word), what);
  return undefined;
}
const prefix = (rest: Rest, report: Report) =>
  parseText(
    rest,
    'a prefix in "quotes": 1 to 48 letters, digits, blanks and . _ : - / = + @ ( ) [ ]',
    /^[A-Za-z0-9 ._:/=+@()[\]-]{1,48}$/,
    report,
  );

/** The options after a rule, in any order: `limit 10/minute burst 5 log prefix "web " comment "why" helper ftp`. */
export function parseOptions(rest: Rest, report: Report): Options {
  const options: Options = {};
  while (rest.words.length > 0) {
    const column = columnOf(rest);
    const word = rest.words.shift();
    const name = bare(word);
    if (!optionWords.has(name)) {
      report(column, shown(word), 'limit, log, comment, helper or the end of the line');
      return options;
    }
    if (name in options) report(column, `a second ${quote(name)}`, `${name} once in a rule`);
    if (name === 'limit') {
      const limit = parseRate(rest, 5, report);
      if (!limit) return options;
      options.limit = limit;
    } else if (name === 'log') {
      options.log = {};
      if (bare(rest.words[0]) !== 'prefix') continue;
      rest.words.shift();
      const text = prefix(rest, report);
      if (text === undefined) return options;
      options.log.prefix = text;
    } else if (name === 'comment') {
      const text = parseText(
        rest,
        'a comment in "quotes" of at most 128 characters that can be seen',
        /^[^\p{C}\p{Zl}\p{Zp}]{0,128}$/u,
        report,
      );
      if (text === undefined) return options;
      options.comment = text;
    } else {
      const at = columnOf(rest);
      const helper = rest.words.shift();
      if (bare(helper) !== 'ftp') {
        report(at, shown(helper), 'ftp, the only helper');
        return options;
      }
      options.helper = 'ftp';
    }
  }
  return options;
}

/** What stands after the global `log`: `limit 5/second burst 10` and `prefix "..."` in any order. */
export function parseLog(rest: Rest, report: Report): { prefix: string; limit: Rate } {
  const log = { prefix: 'vs-deny ', limit: defaultLogRate };
  while (rest.words.length > 0) {
    const column = columnOf(rest);
    const word = rest.words.shift();
    if (bare(word) === 'limit') log.limit = parseRate(rest, defaultLogRate.burst, report) ?? log.limit;
    else if (bare(word) === 'prefix') log.prefix = prefix(rest, report) ?? log.prefix;
    else {
      report(column, shown(word), 'limit, prefix or the end of the line');
      return log;
    }
  }
  return log;
}
