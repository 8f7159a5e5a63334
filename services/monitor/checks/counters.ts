/** What counters of the kernel said at the poll before, by key; `pid` of the init whose they were. */
export interface Counted {
  pid: number;
  values: Record<string, number>;
}

/** How far a counter has risen since the poll before; it begins at 0 with each start. 0 when it was never seen before. */
export function riseOf(before: Counted | undefined, pid: number, key: string, value: number): number {
  const last = before?.values[key];
  if (last === undefined) return before && before.pid !== pid ? value : 0;
  return before?.pid === pid ? Math.max(0, value - last) : value;
}
