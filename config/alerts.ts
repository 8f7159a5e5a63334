import { readFileSync } from 'node:fs';
import { VsError } from '../shared/errors.ts';
import { withoutComment } from './lines.ts';
import { mailAddress } from './mail-address.ts';

/** Which alerts a line of alerts.conf is about; in each word `*` stands for anything. */
export interface AlertFilter {
  vserver?: string;
  host?: string;
  check?: string;
  /** Alerts of this severity or a worse one. */
  severity?: 'warning' | 'critical';
}
export type WebhookFormat = 'json' | 'ntfy' | 'gotify';
export type AlertLine = { filter: AlertFilter } & (
  | { kind: 'mail'; to: string[] }
  | { kind: 'webhook'; url: string; format: WebhookFormat; tokenFile?: string }
  | { kind: 'exec'; argv: string[] }
  | { kind: 'maintenance'; days: number[]; from: number; until: number } // days 0-6 from Sunday, minutes of the day
);

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const formats: WebhookFormat[] = ['json', 'ntfy', 'gotify'];
const MOST_LINES = 500;

interface Word {
  text: string;
  column: number;
}
/** What is wrong with a word. */
const fault = (word: Word, message: string): Error & { column: number } =>
  Object.assign(new Error(message), { column: word.column });
const short = (word: Word): string => JSON.stringify(word.text.slice(0, 60));

/** Words between blanks; quotes keep blanks in a word. */
function wordsOf(line: string): Word[] {
  return [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+|["']/g)].map((found) => {
    const word = { text: found[0], column: found.index + 1 };
    if (/^["']$/.test(word.text)) throw fault(word, 'a quote that does not end');
    return { ...word, text: word.text.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2') };
  });
}

/** Takes vserver=, host=, check=, severity= from the words; what is left is of the line's own kind. */
function takeFilter(words: Word[]): { filter: AlertFilter; rest: Word[] } {
  const filter: AlertFilter = {};
  const rest: Word[] = [];
  for (const word of words) {
    const [, key, value = ''] = /^(vserver|host|check|severity)=(.*)$/.exec(word.text) ?? [];
    if (key === undefined) {
      rest.push(word);
      continue;
    }
    const name = key as keyof AlertFilter;
    if (filter[name] !== undefined) throw fault(word, `a second ${key}= in one line`);
    if (name === 'severity') {
      if (value !== 'warning' && value !== 'critical')
        throw fault(word, `severity is warning or critical, not ${short(word)}`);
      filter.severity = value;
    } else if (/^[A-Za-z0-9_.:*-]{1,100}$/.test(value)) filter[name] = value;
    else throw fault(word, `${key}= is a name, or a part of it and *, such as ${key}=web*`);
  }
  return { filter, rest };
}

function mailLine(first: Word, rest: Word[]): { kind: 'mail'; to: string[] } {
  const to = rest.flatMap((word) =>
    word.text
      .split(',')
      .filter(Boolean)
      .map((address) => {
        if (mailAddress.test(address)) return address;
        throw fault(word, `${short(word)} is no mail address, such as admin@example.org`);
      }),
  );
  if (to.length === 0)
    throw fault(first, 'expected mail ADDRESS[,ADDRESS] [vserver=.. host=.. check=.. severity=..]');
  return { kind: 'mail', to };
}
function webhookLine(first: Word, rest: Word[]): AlertLine & { kind: 'webhook' } {
  const line: AlertLine & { kind: 'webhook' } = { kind: 'webhook', url: '', format: 'json', filter: {} };
  for (const word of rest) {
    const [, key, value = ''] = /^(format|token-file)=(.*)$/.exec(word.text) ?? [];
    if (key === 'format') {
      const format = formats.find((one) => one === value);
      if (!format) throw fault(word, `format is ${formats.join(', ')}, not ${short(word)}`);
      line.format = format;
    } else if (key === 'token-file') {
      if (!value.startsWith('/')) throw fault(word, 'token-file= is an absolute path');
      line.tokenFile = value;
    } else if (/^https?:\/\//.test(word.text) && URL.canParse(word.text) && !line.url) line.url = word.text;
    else
      throw fault(
        word,
        `expected one http:// or https:// address, format= or token-file=, found ${short(word)}`,
      );
  }
  if (!line.url)
    throw fault(first, 'expected webhook https://HOST/PATH [format=json|ntfy|gotify] [token-file=/PATH]');
  return line;
}
function minutesOf(word: Word, text: string): number {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hours === undefined) throw fault(word, 'time= is FROM-UNTIL, such as time=02:00-04:00');
  return Number(hours) * 60 + Number(minutes);
}
function maintenanceLine(first: Word, rest: Word[]): AlertLine & { kind: 'maintenance' } {
  let days = [0, 1, 2, 3, 4, 5, 6];
  let time: [number, number] | undefined;
  for (const word of rest) {
    const [, key, value = ''] = /^(days|time)=(.*)$/.exec(word.text) ?? [];
    if (key === 'days') {
      days = value.split(',').map((day) => DAYS.indexOf(day));
      if (days.includes(-1)) throw fault(word, `days= is some of ${DAYS.join(',')}`);
    } else if (key === 'time') {
      const [from = '', until = '', ...more] = value.split('-');
      if (more.length > 0) throw fault(word, 'time= is FROM-UNTIL, such as time=02:00-04:00');
      time = [minutesOf(word, from), minutesOf(word, until)];
    } else throw fault(word, `expected days=, time=, vserver=, host= or check=, found ${short(word)}`);
  }
  if (!time)
    throw fault(first, 'expected maintenance time=02:00-04:00 [days=sat,sun] [vserver=.. host=.. check=..]');
  return { kind: 'maintenance', days, from: time[0], until: time[1], filter: {} };
}

function parseLine(text: string): AlertLine | undefined {
  const words = wordsOf(withoutComment(text));
  const [first, ...others] = words;
  if (!first) return undefined;
  if (first.text === 'exec') {
    const dashes = others.findIndex((word) => word.text === '--');
    const argv = others.slice(dashes + 1);
    const { filter, rest } = takeFilter(others.slice(0, Math.max(0, dashes)));
    const [program] = argv;
    if (rest[0])
      throw fault(
        rest[0],
        `expected vserver=, host=, check= or severity= before --, found ${short(rest[0])}`,
      );
    if (!program || dashes < 0)
      throw fault(first, 'expected exec [vserver=.. host=.. check=.. severity=..] -- /PROGRAM [ARGUMENT...]');
    if (!program.text.startsWith('/')) throw fault(program, 'the program is an absolute path');
    return { kind: 'exec', argv: argv.map((word) => word.text), filter };
  }
  const { filter, rest } = takeFilter(others);
  if (first.text === 'mail') return { ...mailLine(first, rest), filter };
  if (first.text === 'webhook') return { ...webhookLine(first, rest), filter };
  if (first.text === 'maintenance') return { ...maintenanceLine(first, rest), filter };
  throw fault(first, `expected mail, webhook, exec or maintenance, found ${short(first)}`);
}

/** Parses the text of alerts.conf. Throws VsError 'usage' with every fault by file, line and column. */
export function parseAlerts(text: string, file: string): AlertLine[] {
  const lines: AlertLine[] = [];
  const faults: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    try {
      const line = parseLine(raw);
      if (line) lines.push(line);
    } catch (error) {
      const { message, column } = error as ReturnType<typeof fault>;
      faults.push(`${file}:${index + 1}:${column}: ${message}`);
    }
  }
  if (lines.length > MOST_LINES) faults.push(`${file}:1:1: more than ${MOST_LINES} lines`);
  if (faults.length > 0) throw new VsError('usage', faults.slice(0, 20).join('\n'));
  return lines;
}

/** The lines of CONFIG_DIR/alerts.conf; none when there is no such file. */
export function loadAlerts(file: string): AlertLine[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new VsError('failed', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parseAlerts(text, file);
}
