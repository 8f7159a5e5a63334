import type { Period } from '../../config/backup-options.ts';

const formats = new Map<string, Intl.DateTimeFormat>();

interface Local {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
}
/** The clock of a time zone at a moment (epoch ms). */
export function localTime(ts: number, timezone: string): Local {
  let format = formats.get(timezone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: timezone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
    formats.set(timezone, format);
  }
  const parts: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(ts)) parts[type] = Number(value);
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts;
  return { year, month, day, hour, minute };
}

const DAY = 86_400_000;
const MINUTE = 60_000;

/** `2026-W48`, ISO 8601: a week belongs to the year that its Thursday is in. */
function isoWeek({ year, month, day }: Local): string {
  const date = Date.UTC(year, month - 1, day);
  const thursday = new Date(date + (4 - (new Date(date).getUTCDay() || 7)) * DAY);
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  return `${thursday.getUTCFullYear()}-W${Math.floor((thursday.getTime() - first) / DAY / 7) + 1}`;
}

/** The period that a moment (epoch ms) is in, by the clock of a time zone. An hour that comes twice is two. */
export function periodOf(period: Period, ts: number, timezone: string): string {
  const local = localTime(ts, timezone);
  const { year, month, day, hour, minute } = local;
  if (period === 'yearly') return `${year}`;
  if (period === 'monthly') return `${year}-${month}`;
  if (period === 'weekly') return isoWeek(local);
  if (period === 'daily') return `${year}-${month}-${day}`;
  const whole = Math.floor(ts / MINUTE) * MINUTE;
  const offset = (Date.UTC(year, month - 1, day, hour, minute) - whole) / MINUTE;
  return `${year}-${month}-${day} ${hour} ${offset}`;
}
