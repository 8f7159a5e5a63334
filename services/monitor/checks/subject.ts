import { MOST_CHARACTERS } from '../../../config/monitor/lines.ts';
import type { MonitorConfig, Rule } from '../../../config/monitor/rule.ts';
import type { Alert } from '../../../shared/contract/host.ts';
import type { Context } from '../../../shared/service.ts';
import { fileMark, readText } from '../../../shared/store.ts';
import type { Details } from './details.ts';
import { type Change, type Firing, type Reading, evaluate } from './evaluate.ts';
import type { Keep, Kept } from './keep.ts';

const MOST_MESSAGE = 2000;
/** Its own file is a check as well: a fault in it is told, and what was in force before stays so. */
const ofFile: Rule = {
  check: 'monitor',
  key: 'monitor.conf',
  line: 0,
  severity: 'warning',
  threshold: 1,
  clear: 1,
  hits: 1,
  clearHits: 1,
  below: false,
};

/** What is watched: a vserver, or the host itself. */
export interface SubjectOptions {
  /** In the topics of its alerts. */
  name: string;
  file: string;
  parse: (text: string, file: string) => MonitorConfig;
  /** Rules of a file as they are checked. */
  rules?: (config: MonitorConfig) => Rule[];
  /** In the alerts; absent for the host. */
  vserver?: string;
  /** For people, at the beginning of each message. */
  title: string;
  /** What is added to an alert before it is told: what was done about it. */
  more?: (alert: Alert, check: string, kept: Kept) => Alert;
}

export function alertOf(
  { title, vserver }: Pick<SubjectOptions, 'title' | 'vserver'>,
  { ts, since, severity, value, threshold, text, details }: Firing,
  mailto: string[],
): Alert {
  return {
    ts,
    since,
    severity,
    message: `${title}: ${text}`.slice(0, MOST_MESSAGE),
    value: Math.round(value * 100) / 100,
    threshold,
    ...(vserver === undefined ? {} : { vserver }),
    ...(mailto.length > 0 ? { mailto } : {}),
    ...(details && Object.keys(details).length > 0 ? { details } : {}),
  };
}

/** One subject of checks: its file, what it counts, and its alerts. What fires is on disk before it is told. */
export async function openSubject(
  { bus }: Pick<Context, 'bus'>,
  keep: Keep,
  id: string,
  options: SubjectOptions,
) {
  const { name, file, parse } = options;
  const kept: Kept = await keep.read(id);
  let config = parse('', file);
  let rules: Rule[] = [ofFile];
  let mark: string | undefined;
  let faults: string[] = [];

  function use(next: MonitorConfig): void {
    config = next;
    rules = [...(next.enabled ? (options.rules?.(next) ?? next.rules) : []), ofFile];
  }
  if (kept.good !== undefined)
    try {
      use(parse(kept.good, file));
    } catch {
      // of another version of vs-tools
    }

  function tell({ check, firing }: Change): void {
    const alert = firing && alertOf(options, firing, config.mailto);
    bus.alert(name, check, alert && (options.more?.(alert, check, kept) ?? alert));
  }
  for (const [check, { firing }] of Object.entries(kept.checks)) if (firing) tell({ check, firing });

  return {
    kept,
    get config() {
      return config;
    },
    get rules() {
      return rules;
    },
    get faults() {
      return faults;
    },
    /** Its file is another than the one that was read: a person does not wait for the next look. */
    isChanged: () => fileMark(file) !== mark,
    /** Reads its file when that has changed. */
    async reread(): Promise<void> {
      const now = fileMark(file);
      if (now === mark) return;
      const text = ((await readText(file)) ?? '').slice(0, MOST_CHARACTERS + 1);
      mark = now;
      try {
        use(parse(text, file));
        faults = [];
        if (text === '') delete kept.good;
        else kept.good = text;
      } catch (error) {
        faults = (error as Error).message.split('\n');
      }
    },
    /** Takes what was found, and tells what begins or ends by it. Readings that are missing change nothing. `detailsOf`: for what begins. */
    take(readings: Record<string, Reading>, detailsOf?: (check: string) => Details): void {
      const fault = faults.join('; ');
      const own = {
        value: faults.length > 0 ? 1 : 0,
        text: `${fault} (what was in force before stays so)`,
        about: fault,
      };
      const result = evaluate(
        kept.checks,
        { ts: Date.now(), readings: { ...readings, monitor: own } },
        rules,
      );
      kept.checks = result.state;
      for (const { check, firing } of result.changes) if (firing) firing.details = detailsOf?.(check);
      const saved = keep.write(id, kept);
      if (result.changes.length > 0) void saved.then(() => result.changes.forEach(tell));
    },
    /** Keeps what has changed of what is known; then what fires by this check is told anew, for it has another story. */
    async retell(check?: string): Promise<void> {
      await keep.write(id, kept);
      const firing = check === undefined ? undefined : kept.checks[check]?.firing;
      if (check !== undefined && firing) tell({ check, firing });
    },
    /** It is not watched here any more: all of its alerts end. */
    end(): Promise<void> {
      const firing = Object.entries(kept.checks).filter(([, one]) => one.firing);
      kept.checks = {};
      return keep.write(id, kept).then(() => firing.forEach(([check]) => tell({ check, firing: null })));
    },
  };
}
export type Subject = Awaited<ReturnType<typeof openSubject>>;
