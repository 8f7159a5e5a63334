import { parseRate } from '../create.ts';

/** What the value of a key may be; throws what was expected. */
export type Parse<T> = (text: string) => T;

const expected = (what: string): never => {
  throw new Error(what);
};
const numberIn =
  (least: number, most: number, what: string): Parse<number> =>
  (text) => {
    const value = Number(text);
    return /^\d+(\.\d+)?$/.test(text) && value >= least && value <= most ? value : expected(what);
  };

/** Percent, with or without its sign. */
export const percent: Parse<number> = (text) =>
  numberIn(0.01, 100, 'a number of percent from 0.01 to 100, or off')(text.replace(/%$/, ''));
export const load: Parse<number> = numberIn(0.01, 100_000, 'a load such as 8 or 0.5, or off');
export const rate: Parse<number> = (text) => {
  try {
    return parseRate(text);
  } catch {
    return expected('a rate such as 10M (bytes a second) or 100mbit, or off');
  }
};
export const count =
  (least: number, most: number): Parse<number> =>
  (text) =>
    /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most
      ? Number(text)
      : expected(`a whole number from ${least} to ${most}`);

const units: Record<string, number> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };
/** Seconds of `90`, `90s`, `5m`, `3h` or `2d`. */
export const seconds =
  (least: number, most: number): Parse<number> =>
  (text) => {
    const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d+)?)([smhd]?)$/.exec(text) ?? [];
    const value = Number(number) * (units[unit] ?? 0);
    return number !== '' && value >= least && value <= most
      ? value
      : expected(`a time from ${least} s to ${most} s, such as 30s, 5m or 3h`);
  };

/** Files of a vserver: absolute paths, in which `*` stands for a part of a name. */
export const files: Parse<string[]> = (text) => {
  const all = text.split(/\s+/).filter(Boolean);
  const right = (one: string) =>
    one.startsWith('/') &&
    one.length <= 300 &&
    !/\p{Cc}/u.test(one) &&
    !one.split('/').some((part) => part === '..' || part.split('*').length > 3);
  return all.length > 0 && all.length <= 20 && all.every(right)
    ? all
    : expected('absolute paths such as "/etc/ssl/own.pem /etc/letsencrypt/live/*/cert.pem", at most 20');
};

export const yesNo: Parse<boolean> = (text) => {
  if (/^(yes|true|on|1)$/i.test(text)) return true;
  return /^(no|false|off|0|)$/i.test(text) ? false : expected('yes or no');
};
export const isOff = (text: string): boolean => /^(off|no|0|)$/i.test(text);

export const severity: Parse<'warning' | 'critical'> = (text) =>
  text === 'warning' || text === 'critical' ? text : expected('warning or critical');

/** Who gets mail: addresses, or users of this pool's mail system such as root. */
export const recipients: Parse<string[]> = (text) => {
  const all = text.split(/[\s,]+/).filter(Boolean);
  const right = (one: string) => /^[A-Za-z0-9._%+/=~-]{1,64}(@[A-Za-z0-9.-]{1,190})?$/.test(one);
  return all.length <= 20 && all.every(right)
    ? all
    : expected('at most 20 mail addresses, with commas between');
};
