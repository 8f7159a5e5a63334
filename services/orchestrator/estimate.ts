import type { SagaState } from '../../shared/contract/saga.ts';

/** What is to be copied, and how. */
export interface Work {
  bytes: number;
  files: number;
  /** As it stands in the state of a saga: "btrfs-send over TLS". */
  way: string;
  source: string;
  target: string;
  /** Bytes a second. */
  bwlimit?: number | undefined;
  /** It stops and starts on the way. */
  restarts?: boolean;
}

/** Without a measured one: careful figures of one slow machine (bytes a second, and ms for each file). */
const careful = { bytes: 40e6, file: 0.15 };
/** Asking, locking, staging, adopting (ms); and a stop with a start. */
const AROUND = 1500;
const RESTART = 2000;
/** Less than this says little about the rate (bytes). */
const TELLING = 10e6;
/** The newest ones count. */
const NEWEST = 5;

const copies = /^(seed|copy|delta \d+|final)$/;

/** Bytes a second that a saga copied with; undefined when it tells nothing. */
export function rateOf(state: SagaState): number | undefined {
  if (state.result !== 'done' || (state.bytes ?? 0) < TELLING) return undefined;
  const rows = state.steps.filter((row) => copies.test(row.step));
  const ms = rows.reduce((sum, row) => sum + (row.ms ?? 0), 0);
  return ms > 0 ? ((state.bytes ?? 0) * 1000) / ms : undefined;
}
const hostsOf = (state: SagaState) => ({
  source: state.steps.find((row) => row.step === 'seed' || row.step === 'copy')?.host,
  target: state.steps.find((row) => row.step === 'stage')?.host,
});

function median(values: number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]; // of two the slower one
}

/**
 * How long it should take (ms): by the rate that was measured the same way between the same hosts, else the same way
 * between any, else by a careful default. `past`: the newest first.
 */
export function estimate(work: Work, past: SagaState[]): number {
  const sameWay = past.filter((one) => one.way === work.way);
  const sameHosts = sameWay.filter((one) => {
    const { source, target } = hostsOf(one);
    return source === work.source && target === work.target;
  });
  const newest = (some: SagaState[]) => median(some.flatMap((one) => rateOf(one) ?? []).slice(0, NEWEST));
  const measured = newest(sameHosts) ?? newest(sameWay);
  const rate = Math.min(measured ?? careful.bytes, work.bwlimit ?? Infinity);
  const files = measured === undefined ? work.files * careful.file : 0;
  return Math.round((work.bytes / rate) * 1000 + files + AROUND + (work.restarts ? RESTART : 0));
}
