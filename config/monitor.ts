import { VsError } from '../shared/errors.ts';
import { type Daemon, daemonOf } from './monitor/daemon.ts';
import { type CrashPlan, type Pause, pause } from './monitor/mend.ts';
import { type Kind, hostKinds, vserverKinds } from './monitor/kinds.ts';
import {
  count,
  files,
  isOff,
  percent,
  type Parse,
  recipients,
  seconds,
  severity,
  yesNo,
} from './monitor/values.ts';
import { type Report, type Word, quoted, wordsOf } from './monitor/words.ts';

/** When a check fires and clears. A condition (a counter rose, a daemon is not well) has the value 1 while it holds. */
export interface Rule {
  /** The last level of its alert's topic. */
  check: string;
  /** As the file calls it. */
  key: string;
  line: number;
  severity: 'warning' | 'critical';
  threshold: number;
  /** Reached, it counts as well again. */
  clear: number;
  /** So many polls in a row before it fires, and before it clears. */
  hits: number;
  clearHits: number;
  /** Small values are bad: hours until a disk is full. */
  below: boolean;
}
export interface MonitorConfig {
  enabled: boolean;
  mailto: string[];
  pollSeconds: number;
  rules: Rule[];
  daemons: Daemon[];
  /** Seconds: how long after its start a vserver may open sockets; after how long a change is the new usual. */
  sockets?: { settle: number; keep: number; unix: boolean };
  /** Which certificates are looked at, as the vserver sees them. */
  certificates?: string[];
  /** What is done when it has ended by itself. */
  crash: CrashPlan;
  /** Nothing is mended then. */
  pause?: Pause;
  /** Of a host: while its memory is short, vservers are held back, or moved away as well, but not those with a boot order up to `spare`. */
  pressure?: { spare?: number; evacuates?: true };
}

/** A bigger file is none that a person wrote. */
export const MOST_CHARACTERS = 65_536;
const MOST_DAEMONS = 50;
const MOST_FAULTS = 50;
const ofEveryCheck = ['hits', 'clear_hits', 'severity'];
const globals: Record<string, Parse<unknown>> = {
  MONITOR_ENABLE: yesNo,
  MONITOR_MAILTO: recipients,
  MONITOR_POOLING: seconds(1, 3600),
  MONITOR_HITS: count(1, 1000),
  MONITOR_CLEAR_HITS: count(1, 1000),
  MONITOR_CLEAR: percent,
  MONITOR_SEVERITY: severity,
};
/** How a vserver is mended. */
const mending: Record<string, Parse<unknown>> = {
  RESTART: yesNo,
  RESTART_PER_HOUR: count(1, 20),
  MEND_PAUSE: pause,
};
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

interface Line {
  number: number;
  first: Word;
  more: Word[];
  report: Report;
}
/** The value of a word by its parser; undefined after a fault. */
function valueOf<T>(word: Word | undefined, parse: Parse<T>, report: Report): T | undefined {
  if (!word) return undefined;
  try {
    return parse(word.value);
  } catch (error) {
    report(word.valueColumn, quoted(word.value), (error as Error).message);
    return undefined;
  }
}
/** Options that a key does not take, and any that comes twice. */
function refuseOthers(words: Word[], known: string[], report: Report): void {
  const seen = new Set<string>();
  for (const { name, column } of words) {
    if (!known.includes(name))
      report(column, quoted(name), known.length > 0 ? `one of ${known.join(', ')}` : 'the end of the line');
    else if (seen.has(name)) report(column, quoted(name), `${name} only once`);
    seen.add(name);
  }
}

/** Takes a file apart, and collects its faults. */
function collect(text: string, file: string) {
  const faults: string[] = [];
  const lines: Line[] = [];
  if (text.length > MOST_CHARACTERS)
    return {
      lines,
      faults: [`${file}:1:1: found ${text.length} characters, expected at most ${MOST_CHARACTERS}`],
    };
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const report: Report = (column, found, expected) =>
      void faults.push(`${file}:${index + 1}:${column}: found ${found}, expected ${expected}`);
    const words = wordsOf(
      raw.replace(/^(\s*)export\s/, (all: string) => ' '.repeat(all.length)),
      report,
    );
    const [first, ...more] = words ?? [];
    if (first) lines.push({ number: index + 1, first, more, report });
  }
  return { lines, faults };
}

function fail(faults: string[]): never {
  const byLine = (one: string) => Number(/:(\d+):\d+: found /.exec(one)?.[1] ?? 0);
  const sorted = faults.toSorted((one, other) => byLine(one) - byLine(other));
  const more = sorted.length - MOST_FAULTS;
  throw new VsError(
    'usage',
    [...sorted.slice(0, MOST_FAULTS), ...(more > 0 ? [`and ${more} more`] : [])].join('\n'),
  );
}

function parseAs(text: string, file: string, kinds: Record<string, Kind>, isVserver: boolean): MonitorConfig {
  const { lines, faults } = collect(text, file);
  const given = new Map<string, unknown>();
  const seen = new Set<string>();
  const plain = isVserver ? { ...globals, ...mending } : globals;
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
  const gap = general('MONITOR_CLEAR', 5) / 100;
  const config: MonitorConfig = {
    enabled: general('MONITOR_ENABLE', true),
    mailto: general('MONITOR_MAILTO', [] as string[]),
    pollSeconds: general('MONITOR_POOLING', 60),
    rules: [],
    daemons: [],
    crash: { restart: general('RESTART', true), perHour: general('RESTART_PER_HOUR', 4) },
    ...(given.get('MEND_PAUSE') === undefined ? {} : { pause: given.get('MEND_PAUSE') as Pause }),
  };
  /** What all checks take: how often in a row, how grave. */
  const ruleOf = ({ number, first, more, report }: Line, check: string): Rule => {
    const option = <T>(name: string, parser: Parse<T>) =>
      valueOf(
        more.find((one) => one.name === name),
        parser,
        report,
      );
    return {
      check,
      key: first.name === 'DAEMON' ? `DAEMON=${first.value}` : first.name,
      line: number,
      severity: option('severity', severity) ?? general('MONITOR_SEVERITY', 'warning'),
      threshold: 1,
      clear: 1,
      hits: option('hits', count(1, 1000)) ?? general('MONITOR_HITS', 1),
      clearHits: option('clear_hits', count(1, 1000)) ?? general('MONITOR_CLEAR_HITS', 1),
      below: false,
    };
  };
  const threshold = (line: Line, kind: Kind): void => {
    const { first, more, report } = line;
    refuseOthers(more, [...ofEveryCheck, 'clear', ...(kind.files ? ['files'] : [])], report);
    if (isOff(first.value)) return;
    const limit = valueOf(first, kind.parse, report);
    const clearWord = more.find((one) => one.name === 'clear');
    const clear = valueOf(clearWord, kind.parse, report);
    const below = kind.below === true;
    const rule = ruleOf(line, kind.check);
    if (limit === undefined) return;
    if (kind.files) {
      const word = more.find((one) => one.name === 'files');
      if (!word) report(first.column, quoted(first.name), 'files="/etc/ssl/own.pem ..." behind it');
      config.certificates = valueOf(word, files, report) ?? [];
    }
    if (clear !== undefined && clearWord && (below ? clear < limit : clear > limit))
      report(
        clearWord.valueColumn,
        quoted(clearWord.value),
        below ? `no less than ${first.value}` : `no more than ${first.value}`,
      );
    config.rules.push({
      ...rule,
      threshold: limit,
      clear: clear ?? limit * (below ? 1 + gap : 1 - gap),
      below,
    });
  };
  const condition = (line: Line, check: string): void => {
    const { first, more, report } = line;
    const own = check === 'sockets' ? ['settle', 'keep', 'unix'] : [];
    refuseOthers(more, [...ofEveryCheck, ...own], report);
    const option = <T>(name: string, parser: Parse<T>) =>
      valueOf(
        more.find((one) => one.name === name),
        parser,
        report,
      );
    const rule = ruleOf(line, check);
    const sockets = {
      settle: option('settle', seconds(0, 3600)) ?? 60,
      keep: option('keep', seconds(1, 31_536_000)) ?? 3600,
      unix: option('unix', yesNo) ?? false,
    };
    if (valueOf(first, yesNo, report) !== true) return;
    config.rules.push(rule);
    if (check === 'sockets') config.sockets = sockets;
  };
  const pressure = (line: Line): void => {
    const { first, more, report } = line;
    refuseOthers(more, [...ofEveryCheck, 'memory', 'clear', 'spare'], report);
    if (isOff(first.value)) return;
    if (!['limit', 'evacuate'].includes(first.value))
      report(first.valueColumn, quoted(first.value), 'limit, evacuate or off');
    const option = <T>(name: string, parser: Parse<T>) =>
      valueOf(
        more.find((one) => one.name === name),
        parser,
        report,
      );
    const most = option('memory', percent) ?? 95;
    const clear = option('clear', percent) ?? most - 10;
    const spare = option('spare', count(0, 9999));
    if (clear >= most) report(first.valueColumn, quoted(`clear=${clear}`), `less than memory, ${most}`);
    config.rules.push({ ...ruleOf(line, 'pressure'), threshold: most, clear });
    config.pressure = {
      ...(spare === undefined ? {} : { spare }),
      ...(first.value === 'evacuate' ? { evacuates: true } : {}),
    };
  };
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

/**
 * What a monitor.conf says of a vserver that has ended by itself: also where other lines of it have faults. With a fault in
 * these lines it is not started again: a person wanted something else than the usual there.
 */
export function crashPlanOf(text: string): {
  watched: boolean;
  crash: CrashPlan;
  pause?: Pause | undefined;
  mailto: string[];
} {
  const own = /^\s*(export\s+)?(RESTART|RESTART_PER_HOUR|MEND_PAUSE|MONITOR_ENABLE|MONITOR_MAILTO)=/;
  try {
    const lines = text.slice(0, MOST_CHARACTERS).split(/\r?\n/);
    const {
      enabled,
      crash,
      pause: times,
      mailto,
    } = parseMonitor(lines.filter((one) => own.test(one)).join('\n'), '');
    return { watched: enabled, crash, pause: times, mailto };
  } catch {
    return { watched: true, crash: { restart: false, perHour: 1 }, mailto: [] };
  }
}

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
