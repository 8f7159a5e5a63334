import { checkLines, ofEveryCheck } from './monitor/check-lines.ts';
import { daemonOf } from './monitor/daemon.ts';
import { type Times, moment, times } from './monitor/mend.ts';
import { type Kind, vserverKinds } from './monitor/kinds.ts';
import { collect, fail, refuseOthers, valueOf } from './monitor/lines.ts';
import type { MonitorConfig } from './monitor/rule.ts';
import { type Parse, count, percent, recipients, seconds, severity, yesNo } from './monitor/values.ts';
import { quoted } from './monitor/words.ts';

const MOST_DAEMONS = 50;
const globals: Record<string, Parse<unknown>> = {
  MONITOR_ENABLE: yesNo,
  MONITOR_MAILTO: recipients,
  MONITOR_POOLING: seconds(1, 3600),
  MONITOR_HITS: count(1, 1000),
  MONITOR_CLEAR_HITS: count(1, 1000),
  MONITOR_CLEAR: percent,
  MONITOR_SEVERITY: severity,
};
const pauses: Record<string, Parse<unknown>> = { MEND_PAUSE: times, MEND_PAUSE_UNTIL: moment };
/** How a vserver is mended. */
const mending: Record<string, Parse<unknown>> = { RESTART: yesNo, RESTART_PER_HOUR: count(1, 20) };
const conditions: Record<string, string> = {
  MONITOR_RSS_HITS: 'memory-hits',
  MONITOR_OOM_KILLS: 'oom-kills',
  MONITOR_PROC_HITS: 'process-hits',
  MONITOR_SOCKETS: 'sockets',
};
const hostConditions: Record<string, string> = {
  MONITOR_LINKS: 'links',
  MONITOR_RAID: 'raid',
  MONITOR_SMART: 'smart',
};

/** What a file says, by the thresholds it may name. Throws VsError 'usage' with every fault, by file, line and column. */
export function parseAs(
  text: string,
  file: string,
  kinds: Record<string, Kind>,
  isVserver: boolean,
): MonitorConfig {
  const { lines, faults } = collect(text, file);
  const given = new Map<string, unknown>();
  const seen = new Set<string>();
  const plain = { ...globals, ...(isVserver ? mending : {}), ...pauses };
  for (const { first, more, report } of lines) {
    const key = `${first.name}${first.name === 'DAEMON' ? `=${first.value}` : ''}`;
    if (seen.has(key)) report(first.column, quoted(key), `${key} only once`);
    seen.add(key);
    const parser = Object.hasOwn(plain, first.name) ? plain[first.name] : undefined;
    if (!parser) continue;
    refuseOthers(more, [], report);
    if (first.value !== '' || first.name === 'MONITOR_MAILTO')
      given.set(first.name, valueOf(first, parser, report));
  }
  const general = <T>(key: string, otherwise: T): T => (given.get(key) as T | undefined) ?? otherwise;
  const config: MonitorConfig = {
    enabled: general('MONITOR_ENABLE', true),
    mailto: general('MONITOR_MAILTO', [] as string[]),
    pollSeconds: general('MONITOR_POOLING', 60),
    rules: [],
    daemons: [],
    crash: { restart: general('RESTART', true), perHour: general('RESTART_PER_HOUR', 4) },
  };
  const [some, until] = Object.keys(pauses).map((key) => given.get(key));
  if (some !== undefined || until !== undefined)
    config.pause = {
      ...(some === undefined ? {} : { times: some as Times }),
      ...(until === undefined ? {} : { until: until as number }),
    };
  const { ruleOf, threshold, condition, pressure } = checkLines(config, general);
  for (const line of lines) {
    const { first, more, report } = line;
    const kind = Object.hasOwn(kinds, first.name) ? kinds[first.name] : undefined;
    const asked = isVserver ? conditions : hostConditions;
    const yes = Object.hasOwn(asked, first.name) ? asked[first.name] : undefined;
    if (Object.hasOwn(plain, first.name)) continue;
    if (kind) threshold(line, kind);
    else if (yes) condition(line, yes);
    else if (!isVserver && first.name === 'PRESSURE') pressure(line);
    else if (isVserver && first.name === 'DAEMON') {
      const own = more.filter((one) => !ofEveryCheck.includes(one.name));
      refuseOthers(more, [...new Set(more.map(({ name }) => name))], report);
      const rule = ruleOf(line, `daemon-${first.value}`);
      const daemon = daemonOf(first, own, report);
      if (!daemon) continue;
      config.daemons.push(daemon);
      config.rules.push(rule);
      if (config.daemons.length === MOST_DAEMONS + 1)
        report(first.column, quoted(`DAEMON=${first.value}`), `at most ${MOST_DAEMONS} lines DAEMON`);
    } else
      report(
        first.column,
        quoted(first.name),
        `one of ${[...Object.keys(plain), ...Object.keys(kinds), ...Object.keys(asked), isVserver ? 'DAEMON' : 'PRESSURE'].join(', ')}`,
      );
  }
  if (faults.length > 0) fail(faults);
  return config;
}

/** What the monitor.conf of a vserver says. Throws VsError 'usage' with every fault, by file, line and column. */
export const parseMonitor = (text: string, file: string): MonitorConfig =>
  parseAs(text, file, vserverKinds, true);
