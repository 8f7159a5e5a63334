import { VsError } from '../../shared/errors.ts';
import { quoted } from '../names.ts';

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 };

/** A span of time such as 30m, 24h, 7d, in ms; from ten seconds to ten years. */
export function parseSpan(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6})([smhdwy])$/.exec(text) ?? [];
  const ms = Number(number) * (units[unit] ?? Number.NaN) * 1000;
  if (ms >= 10_000 && ms <= 10 * 31_536_000_000) return ms;
  throw new VsError(
    'usage',
    `${quoted(text)} is no span of time: it is a number and s, m (minutes), h, d, w or y, such as 24h.`,
  );
}
