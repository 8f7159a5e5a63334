/** The text with monitoring switched on or off: its line MONITOR_ENABLE, or a new first one. */
export function withMonitoring(text: string, on: boolean): string {
  const lines = text.split('\n');
  const word = `MONITOR_ENABLE=${on ? 'yes' : 'no'}`;
  const at = lines.findIndex((line) => /^\s*(export\s+)?MONITOR_ENABLE=/.test(line));
  if (at < 0) return on ? text : `${word}\n${text}`;
  return lines
    .with(
      at,
      (lines[at] ?? '').replace(/^(\s*(?:export\s+)?)MONITOR_ENABLE=("[^"]*"|'[^']*'|[^\s"']*)/, `$1${word}`),
    )
    .join('\n');
}
