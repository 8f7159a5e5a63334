import { parseAs } from '../monitor.ts';
import { hostKinds } from './kinds.ts';
import { MOST_CHARACTERS, collect } from './lines.ts';
import type { Pause } from './mend.ts';
import type { MonitorConfig } from './rule.ts';

/** What host-monitor.conf says of the host itself; what it does not name is as in `hostDefaults`. */
export const parseHostMonitor = (text: string, file: string): MonitorConfig => {
  const own = parseAs(text, file, hostKinds, false);
  const named = new Set(collect(text, file).lines.map(({ first }) => first.name));
  const usual = parseAs(
    hostDefaults
      .split('\n')
      .filter((line) => !named.has(line.split('=')[0] ?? ''))
      .join('\n'),
    file,
    hostKinds,
    false,
  );
  return { ...own, rules: [...own.rules, ...usual.rules] };
};

/**
 * When nothing on a host is mended, by its host-monitor.conf: also where other lines of it have faults. A fault in these
 * lines pauses nothing, for all that is on the host would stay down.
 */
export function hostPauseOf(text: string): Pause | undefined {
  const own = text
    .slice(0, MOST_CHARACTERS)
    .split(/\r?\n/)
    .filter((one) => /^\s*(export\s+)?MEND_PAUSE(_UNTIL)?=/.test(one));
  try {
    return parseAs(own.join('\n'), '', hostKinds, false).pause;
  } catch {
    return undefined;
  }
}

/** How a host is watched unless its file says otherwise. */
const hostDefaults = `MEM_THRESHOLD=95 hits=3
DISK_THRESHOLD=90 hits=2
SWAP_THRESHOLD=90 hits=3
CERTIFICATE_LEFT=14d severity=critical
POOL_DATA_THRESHOLD=85 hits=2 severity=critical
POOL_METADATA_THRESHOLD=80 hits=2 severity=critical
MONITOR_RAID=yes severity=critical
MONITOR_SMART=yes severity=critical
MONITOR_LINKS=yes hits=2 severity=critical`;
