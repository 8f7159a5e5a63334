import type { CopyProgress } from '../../shared/contract/transfer.ts';

/** Counts a copy and reports about once a second: bytes, percent of `total`, rate over all of it, time left. */
export function meter(total: number | undefined, report: (progress: CopyProgress) => void) {
  const begun = performance.now();
  let bytes = 0;
  let last = 0;
  function tell(now: number): void {
    last = now;
    const rate = Math.round(bytes / Math.max(0.001, (now - begun) / 1000));
    const known = total !== undefined && total > 0;
    report({
      bytes,
      rate,
      ...(known ? { total, percent: Math.min(100, Math.round((bytes / total) * 1000) / 10) } : {}),
      ...(known && rate > 0 ? { eta: Math.max(0, Math.round(((total - bytes) / rate) * 1000)) } : {}),
    });
  }
  return {
    add(count: number): void {
      this.at(bytes + count);
    },
    at(count: number): void {
      bytes = count;
      const now = performance.now();
      if (now - last >= 1000) tell(now);
    },
    end(): { bytes: number; ms: number } {
      tell(performance.now());
      return { bytes, ms: Math.round(performance.now() - begun) };
    },
  };
}
