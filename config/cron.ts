import { Cron } from 'croner';

/** Words for the usual schedules, as crontab(5) has them. */
export const cronWords: Record<string, string> = {
  hourly: '0 * * * *',
  daily: '0 0 * * *',
  weekly: '0 0 * * 0',
  monthly: '0 0 1 * *',
};

const known = new Map<string, Cron>();
const MOST_KNOWN = 1000;

/**
 * A time that the clock leaves out (spring) comes once, at the first moment after the gap; one that comes twice (autumn)
 * counts once, unless the expression has a wildcard or step in its minutes or hours: then each hour has its own.
 */
function cronOf(expression: string, timezone: string): Cron {
  const key = `${expression} ${timezone}`;
  const before = known.get(key);
  if (before) return before;
  const made = new Cron(expression, {
    timezone,
    mode: '5-part',
    fixedTimeRule: 'no-wildcard',
    paused: true,
  });
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(key, made);
  return made;
}

/** Why a text is no time zone; undefined when it is one. */
export function timezoneFault(timezone: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone }).format();
    return /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(timezone) ? undefined : 'no name';
  } catch {
    return 'unknown';
  }
}

/** Why a text is no cron expression that ever comes; undefined when it is one. */
export function cronFault(expression: string): string | undefined {
  if (!/^[0-9A-Za-z*,/#?-]+( [0-9A-Za-z*,/#?-]+){4}$/.test(expression) || expression.length > 100)
    return 'it has five fields: minute hour day-of-month month day-of-week';
  try {
    return cronOf(expression, 'UTC').nextRun(new Date(0)) ? undefined : 'that day never comes';
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, '');
  }
}

const MINUTE = 60_000;
const answers = new Map<string, number | undefined>();
const MOST_ANSWERS = 20_000;
/** Runs come at whole minutes, so all moments of one have the same answer: many vservers ask alike, again and again. */
function remembered(key: string, find: () => number | undefined): number | undefined {
  if (answers.has(key)) return answers.get(key);
  if (answers.size >= MOST_ANSWERS) answers.clear();
  const found = find();
  answers.set(key, found);
  return found;
}

/** The first run after a moment (epoch ms); undefined when none ever comes. */
export function runAfter(expression: string, timezone: string, after: number): number | undefined {
  const minute = Math.floor(after / MINUTE) * MINUTE;
  return remembered(`after ${minute} ${timezone} ${expression}`, () =>
    cronOf(expression, timezone).nextRun(new Date(minute))?.getTime(),
  );
}

/** The last run at or before a moment (epoch ms). */
export function runBefore(expression: string, timezone: string, at: number): number | undefined {
  const minute = Math.floor(at / MINUTE) * MINUTE;
  return remembered(`before ${minute} ${timezone} ${expression}`, () =>
    // what comes back lies before the moment that is given
    cronOf(expression, timezone)
      .previousRuns(1, new Date(minute + MINUTE))[0]
      ?.getTime(),
  );
}
