import { repositoryName } from '../shared/contract/backup.ts';
import { cronFault, cronWords, timezoneFault } from './cron.ts';

/** What is kept: so many of the last ones, and of the last hours, days, ISO weeks, months, years that have one. */
export const periods = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Period = (typeof periods)[number];
export type Keep = Partial<Record<'last' | Period, number>>;

export interface BackupOptions {
  /** Five fields; absent: only when somebody asks. */
  schedule?: string;
  /** IANA; of the schedule, of the window, and of the hours and days of what is kept. */
  timezone?: string;
  repository?: string;
  /** Five fields: when its newest good backup is proved (vs backup test); absent: only when somebody asks. */
  test?: string;
  keep: Keep;
  /** Bytes a second. */
  bandwidth?: number;
  /** Minutes of the day; may go over midnight. Outside of it nothing begins by itself. */
  window?: { from: number; to: number };
  /** Ms: each vserver begins so much later at most, always by the same. */
  jitter?: number;
}

const minute = 60_000;
const units: Record<string, number> = { s: 1000, m: minute, h: 60 * minute };
const most = { jitter: 24 * 60 * minute, keep: 10_000 };

function clockOf(text: string): number | undefined {
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  const value = Number(hours) * 60 + Number(minutes);
  return hours !== undefined && Number(hours) < 24 && Number(minutes) < 60 ? value : undefined;
}

/** Five fields of a schedule; undefined for none. Throws what was expected. */
function cronOf(value: string): string | undefined {
  if (value === 'none') return undefined;
  const expression = Object.hasOwn(cronWords, value)
    ? (cronWords[value] ?? '')
    : value.trim().replaceAll(/\s+/g, ' ');
  const fault = cronFault(expression);
  if (fault)
    throw new Error(
      `${shown(value)} is no schedule (${fault}); expected a cron expression such as "30 2 * * *", or hourly, daily, weekly, monthly, none`,
    );
  return expression;
}

/** Each takes its value into the options; throws what it expected. */
const readers: Record<string, (value: string, options: BackupOptions) => void> = {
  schedule(value, options) {
    const expression = cronOf(value);
    if (expression !== undefined) options.schedule = expression;
  },
  test(value, options) {
    const expression = cronOf(value);
    if (expression !== undefined) options.test = expression;
  },
  timezone(value, options) {
    if (timezoneFault(value))
      throw new Error(`${shown(value)} is no time zone; expected one such as Europe/Berlin`);
    options.timezone = value;
  },
  repository(value, options) {
    if (!repositoryName.safeParse(value).success)
      throw new Error(`${shown(value)} is no name of a repository; expected one of repositories.conf`);
    options.repository = value;
  },
  bandwidth(value, options) {
    const [, number, unit] = /^([1-9]\d{0,8})([km])$/.exec(value) ?? [];
    if (number === undefined)
      throw new Error(`${shown(value)} is no bandwidth; expected one such as 50k or 50m`);
    options.bandwidth = Number(number) * (unit === 'k' ? 1024 : 1024 * 1024);
  },
  window(value, options) {
    const [from, to] = value.split('-').map(clockOf);
    if (from === undefined || to === undefined || from === to || value.split('-').length !== 2)
      throw new Error(`${shown(value)} is no window; expected one such as 22:00-06:00`);
    options.window = { from, to };
  },
  jitter(value, options) {
    const [, number, unit = ''] = /^(\d{1,6})([smh])$/.exec(value) ?? [];
    const ms = Number(number) * (units[unit] ?? 0);
    if (number === undefined || ms > most.jitter)
      throw new Error(`${shown(value)} is no jitter; expected one such as 90s, 10m or 2h, at most 24h`);
    options.jitter = ms;
  },
};
for (const key of ['last', ...periods] as const)
  readers[`keep-${key}`] = (value, options) => {
    if (!/^[1-9]\d{0,4}$/.test(value) || Number(value) > most.keep)
      throw new Error(`keep-${key} is a whole number from 1 to ${most.keep}, not ${shown(value)}`);
    options.keep[key] = Number(value);
  };

const shown = (text: string) => JSON.stringify(text.slice(0, 60));

/** A fault at a place of a line; `at`: the index of the character that is wrong. */
export class Misplaced extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** `key=value,...` from `at` on in a line; a value with commas or colons in double quotes. Throws Misplaced. */
export function parseOptions(line: string, at: number): BackupOptions {
  const options: BackupOptions = { keep: {} };
  const seen = new Set<string>();
  const word = /([A-Za-z0-9-]*)=(?:"([^"]*)"|([^",]*))/y;
  const blank = (from: number) => from + (/^[ \t]*/.exec(line.slice(from))?.[0].length ?? 0);
  let here = blank(at);
  while (here < line.length) {
    word.lastIndex = here;
    const found = word.exec(line);
    if (!found) throw new Misplaced(here, `expected key=value, found ${shown(line.slice(here))}`);
    const [all, key = '', quoted, plain = ''] = found;
    const read = Object.hasOwn(readers, key) ? readers[key] : undefined;
    if (!read)
      throw new Misplaced(here, `unknown option ${shown(key)}; known are ${Object.keys(readers).join(', ')}`);
    if (seen.has(key)) throw new Misplaced(here, `the option ${key} stands here twice`);
    seen.add(key);
    const value = quoted ?? plain.trim();
    const place = here + key.length + 1 + (quoted === undefined ? 0 : 1);
    if (value === '' && line[place] === '"' && quoted === undefined)
      throw new Misplaced(place, 'a quote is not closed');
    if (value === '') throw new Misplaced(place, `the option ${key} has no value`);
    if (quoted === undefined && /[:\s]/.test(value) && key !== 'window')
      throw new Misplaced(place, `${shown(value)} has a colon or a blank: put it in double quotes`);
    try {
      read(value, options);
    } catch (error) {
      throw new Misplaced(place, (error as Error).message);
    }
    here = blank(here + all.length);
    if (here >= line.length) break;
    if (line[here] !== ',') throw new Misplaced(here, `expected a comma, found ${shown(line.slice(here))}`);
    here = blank(here + 1);
    if (here >= line.length) throw new Misplaced(here, 'expected another option after the comma');
  }
  return options;
}
