import { VsError } from '../../shared/errors.ts';
import { quoted } from '../names.ts';

/** Checks the name of a snapshot; the form is that of shared/contract/kept.ts. */
export function checkSnapshot(text: string): string {
  if (text.length <= 40 && !text.includes('..') && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text))
    return text;
  throw new VsError(
    'usage',
    `${quoted(text)} is no name of a snapshot: it is letters, digits and inner . _ -, at most 40 characters, such as before-upgrade.`,
  );
}

const WORDS: Record<string, number> = { hourly: 60, daily: 1440, weekly: 10_080 };
const UNITS: Record<string, number> = { m: 1, h: 60, d: 1440 };

/** hourly, daily, weekly, or 15m, 6h, 2d, as minutes. */
export function parseEvery(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,4})([mhd])$/.exec(text) ?? [];
  const minutes = WORDS[text] ?? Number(number) * (UNITS[unit] ?? Number.NaN);
  if (minutes >= 5 && minutes <= 43_200) return minutes;
  throw new VsError(
    'usage',
    `${quoted(text)} is no schedule: it is hourly, daily, weekly, off, or a time from 5m to 30d such as 15m, 6h, 2d.`,
  );
}

/** 60 as "hourly", 360 as "every 6h". */
export function everyText(minutes: number): string {
  const word = Object.entries(WORDS).find(([, value]) => value === minutes)?.[0];
  if (word) return word;
  const [unit = 'm', one = 1] =
    Object.entries(UNITS)
      .reverse()
      .find(([, value]) => minutes % value === 0) ?? [];
  return `every ${minutes / one}${unit}`;
}
