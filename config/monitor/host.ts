import { parseAs } from '../monitor.ts';
import { hostKinds } from './kinds.ts';
import { collect } from './lines.ts';
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
