import { isCounter, unitOf } from './contract/figures.ts';
import { size } from './size.ts';

const digits = (value: number): string =>
  value === 0
    ? '0'
    : Math.abs(value) < 0.095
      ? value.toFixed(2)
      : Math.abs(value) < 9.95
        ? value.toFixed(1)
        : String(Math.round(value));

/** A time since a start, of two parts at most: 40 s, 5 min, 3 h 5 min, 12 d 3 h. */
export function age(seconds: number): string {
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.round(seconds)} s`;
}

/** A figure by its key, with its unit for people; `rate`: per second, which a counter is unless told. */
export function figureText(key: string, value: number | undefined, rate = isCounter(key)): string {
  if (value === undefined) return '-';
  const unit = unitOf(key);
  const per = rate ? '/s' : '';
  if (unit === 'bytes') return `${value > 0 && value < 0.5 ? '<1 B' : size(Math.max(0, value))}${per}`;
  if (unit === 'percent') return `${digits(value)} %`;
  if (unit === 'seconds') return rate ? `${digits(value)} s/s` : age(value);
  if (unit === 'load') return value.toFixed(2);
  if (unit === 'cores') return `${digits(value)} cores`;
  return `${Number.isInteger(value) ? String(value) : digits(value)}${per}`;
}
