import type { Metrics } from '../../shared/contract/host.ts';
import { readKernel } from './read.ts';

/** Share of the last 10 s in which some (full: all) of the processes waited, percent, by the text of a pressure file. */
export function pressureOf(text: string): { some?: number; full?: number } {
  const share = (word: string) => {
    const found = new RegExp(`^${word} avg10=([\\d.]+)`, 'm').exec(text)?.[1];
    return found === undefined ? {} : { [word]: Number(found) };
  };
  return { ...share('some'), ...share('full') };
}

/** Keys of the three pressure files; a kernel without them (or with psi=0) has none. `path`: of cpu, memory or io. */
export function pressures(path: (word: 'cpu' | 'memory' | 'io') => string): Metrics {
  const found: Metrics = {};
  for (const [word, key] of [
    ['cpu', 'cpu'],
    ['memory', 'mem'],
    ['io', 'io'],
  ] as const) {
    const { some, full } = pressureOf(readKernel(path(word)));
    if (some !== undefined) found[`psi_${key}_some_pct`] = some;
    if (full !== undefined) found[`psi_${key}_full_pct`] = full;
  }
  return found;
}
