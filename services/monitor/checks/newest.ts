import type { Metrics } from '../../../shared/contract/host.ts';

/** What was published last of a vserver, when it is of this start and newer than what the poll before saw; else a poll reads for itself. */
export function newestOf(
  last: { pid: number; figures: Metrics } | undefined,
  pid: number,
  before: Metrics | undefined,
): Metrics | undefined {
  if (last?.pid !== pid) return undefined;
  return Number(last.figures['ts'] ?? 0) > Number(before?.['ts'] ?? 0) ? last.figures : undefined;
}
