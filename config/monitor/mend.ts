import type { Parse } from './values.ts';

/** How a daemon is restarted inside of its vserver: a unit of systemd, a script of init, or a program with its words. */
export type Restart = { by: 'systemctl' | 'service'; unit: string } | { by: 'exec'; command: string[] };

/** `systemctl:nginx`, `service:nginx`, `exec:/usr/local/bin/again --now`. */
export const restart: Parse<Restart> = (text) => {
  const [, by, rest = ''] = /^(systemctl|service|exec):(.*)$/.exec(text) ?? [];
  if (by === 'exec' && rest.startsWith('/') && text.length <= 1000 && !/\p{Cc}/u.test(rest))
    return { by, command: rest.split(/\s+/).filter(Boolean) };
  if ((by === 'systemctl' || by === 'service') && /^[A-Za-z0-9][A-Za-z0-9@:_.\\-]{0,99}$/.test(rest))
    return { by, unit: rest };
  throw new Error('systemctl:UNIT, service:NAME or exec:/PROGRAM, with quotes around its arguments');
};

export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** Minutes of the day in local time, on these days (0: Sunday); over midnight the day is that of its begin. */
export interface Times {
  days: number[];
  from: number;
  until: number;
}
/** When nothing is mended: at these times, and until that moment (ms). */
export interface Pause {
  times?: Times;
  until?: number;
}

/** `22:00-04:00`, or on some days only: `sat,sun 22:00-04:00`. */
export const times: Parse<Times> = (text) => {
  const expected = 'a time such as 22:00-04:00, or days and a time such as "sat,sun 22:00-04:00"';
  const time = '([01]\\d|2[0-3]):([0-5]\\d)';
  const [, names, ...numbers] = new RegExp(`^(?:([a-z,]+) +)?${time}-${time}$`).exec(text) ?? [];
  if (numbers.length < 4) throw new Error(expected);
  const [hour = 0, minute = 0, toHour = 0, toMinute = 0] = numbers.map(Number);
  const days =
    names === undefined ? DAYS.map((_, day) => day) : names.split(',').map((one) => DAYS.indexOf(one));
  if (days.includes(-1)) throw new Error(expected);
  return { days, from: hour * 60 + minute, until: toHour * 60 + toMinute };
};

/** `2026-12-24T02:00`, in local time; with a Z behind it in UTC. Milliseconds. */
export const moment: Parse<number> = (text) => {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?Z?)$/.exec(text) ?? [];
  const ms = Date.parse(`${date}T${time}`);
  if (Number.isNaN(ms)) throw new Error('a moment such as 2026-12-24T02:00, or 2026-12-24T02:00Z in UTC');
  return ms;
};

/** Is it one of these times? From a time to the same time is the whole day. */
function isWithin(one: Times, now: Date): boolean {
  const minutes = now.getHours() * 60 + now.getMinutes();
  const today = one.days.includes(now.getDay());
  if (one.from < one.until) return today && minutes >= one.from && minutes < one.until;
  const yesterday = one.days.includes((now.getDay() + 6) % 7);
  return (today && minutes >= one.from) || (yesterday && minutes < one.until);
}

/** Is nothing mended now? */
export const isPaused = ({ times: some, until }: Pause = {}, now = new Date()): boolean =>
  (until !== undefined && now.getTime() < until) || (some !== undefined && isWithin(some, now));

/** What is done about a vserver that has ended by itself. */
export interface CrashPlan {
  restart: boolean;
  /** So often within an hour at most. */
  perHour: number;
}
