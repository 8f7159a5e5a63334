import { isCounter, keptFigures } from '../../shared/contract/figures.ts';
import type { Metrics } from '../../shared/contract/host.ts';

/** Two samples closer than that (s) say nothing of a rate. */
const LEAST_S = 0.5;

/**
 * Counters of a sample, per second since the one before; none without one. A counter that fell began anew with the vserver,
 * or on another host. `seconds`: between the two.
 */
export function ratesOf(before: Metrics | undefined, now: Metrics, seconds: number): Record<string, number> {
  const rates: Record<string, number> = {};
  if (!before || seconds < LEAST_S) return rates;
  for (const [key, value] of Object.entries(now)) {
    const last = before[key];
    if (typeof value !== 'number' || typeof last !== 'number' || !isCounter(key)) continue;
    const grown = value >= last ? value - last : value;
    rates[key] = Math.round((grown / seconds) * 1000) / 1000;
  }
  return rates;
}

/** What is kept of a sample: the figures of the table, counters as rates. */
export function keptOf(figures: Metrics, rates: Record<string, number>): [string, number][] {
  return keptFigures.flatMap(({ key, counter }): [string, number][] => {
    const value = counter ? rates[key] : figures[key];
    return typeof value === 'number' && Number.isFinite(value) ? [[key, value]] : [];
  });
}
