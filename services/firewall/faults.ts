import { VsError } from '../../shared/errors.ts';
import type { Report } from './words.ts';

/** So many are told; the rest is counted. */
const mostTold = 50;
/** So many are kept, so that a file of nothing but faults takes no memory. */
const mostKept = 2000;

/** Thrown when a bound of the whole is crossed and there is no sense in going on. */
export const enough = Symbol('enough');

export interface Faults {
  reportIn: (file: string, line: number) => Report;
  /** The error that tells them; undefined when there are none. */
  error: () => VsError | undefined;
}

/** Collects the faults of a firewall.conf and its groups and sets: each once, though a group may be read twice. */
export function collectFaults(): Faults {
  const faults = new Map<string, { line: number; column: number }>();
  /** The lines with faults, in the order in which they were read. */
  const lines = new Map<string, number>();
  let more = 0;
  return {
    reportIn: (file, line) => (column, found, expected) => {
      const text = `${file}:${line}:${column}: found ${found}, expected ${expected}`;
      if (faults.has(text)) return;
      if (faults.size >= mostKept) more += 1;
      else {
        const place = `${file}:${line}`;
        const order = lines.get(place) ?? lines.size;
        lines.set(place, order);
        faults.set(text, { line: order, column });
      }
    },
    error: () => {
      if (faults.size === 0) return undefined;
      const sorted = [...faults]
        .sort(([, one], [, other]) => one.line - other.line || one.column - other.column)
        .map(([text]) => text);
      more += Math.max(0, sorted.length - mostTold);
      return new VsError(
        'usage',
        [...sorted.slice(0, mostTold), ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
      );
    },
  };
}
