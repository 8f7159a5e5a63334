/** The line of a key, with what may stand before it. */
const lineOf = (key: string) => new RegExp(`^(\\s*(?:export\\s+)?)${key}=("[^"]*"|'[^']*'|[^\\s"']*)`);

/** The text with monitoring switched on or off: its line MONITOR_ENABLE, or a new first one. */
export function withMonitoring(text: string, on: boolean): string {
  const lines = text.split('\n');
  const word = `MONITOR_ENABLE=${on ? 'yes' : 'no'}`;
  const own = lineOf('MONITOR_ENABLE');
  const at = lines.findIndex((line) => own.test(line));
  if (at < 0) return on ? text : `${word}\n${text}`;
  return lines.with(at, (lines[at] ?? '').replace(own, `$1${word}`)).join('\n');
}

/** The text with mending paused until then (ms), or without that; MEND_PAUSE, the times of each week, stays as it is. */
export function withPause(text: string, until: number | null): string {
  const own = lineOf('MEND_PAUSE_UNTIL');
  const others = text.split('\n').filter((line) => !own.test(line));
  if (until === null) return others.join('\n');
  const moment = new Date(until).toISOString().replace(/\.\d+Z$/, 'Z');
  return [`MEND_PAUSE_UNTIL=${moment}`, ...others].join('\n');
}
