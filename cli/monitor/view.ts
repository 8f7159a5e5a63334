import { hostKinds, valueText, vserverKinds } from '../../config/monitor/kinds.ts';
import type { Data } from '../../shared/contract/commands.ts';
import type { MonitorApplied } from '../../shared/contract/monitor.ts';
import { moment, table } from '../table.ts';

/** Without what would move the cursor of a terminal: a guest may have said it. */
const plain = (text: string) => text.replaceAll(/\p{Cc}/gu, ' ');
const kinds = { ...hostKinds, ...vserverKinds };

function value(key: string, number: number | undefined): string {
  const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
  return number === undefined || !kind ? '-' : valueText(kind.unit, number);
}
const time = (ts: number) => new Date(ts).toISOString().slice(0, 16).replace('T', ' ');

/** `vs monitor show`: what is checked, and what fires. */
export function showText(view: Data<'monitor.show'>, host: string): string {
  const { name, enabled, running, checks, faults, pollSeconds, mailto, paused } = view;
  const state =
    checks.length === 0 && faults.length === 0
      ? 'nothing is checked, for its monitor.conf says nothing'
      : !enabled
        ? 'not watched'
        : running
          ? `watched every ${pollSeconds} s`
          : 'watched when it runs';
  const parts = [
    `${name} on ${host}: ${state}${mailto.length > 0 ? `; mail goes to ${mailto.join(', ')} too` : ''}`,
  ];
  if (paused) {
    const until = paused.until === undefined ? 'now, by MEND_PAUSE' : `until ${moment(paused.until)}`;
    parts.push(`Nothing is mended ${until}${paused.by === 'host' ? `, for all of ${host}` : ''}.`);
  }
  if (faults.length > 0)
    parts.push('Its monitor.conf has faults; what was in force before stays so:', ...faults.map(plain));
  if (checks.length > 0)
    parts.push(
      table(
        ['CHECK', 'FIRES AT', 'ENDS AT', 'HITS', 'SEVERITY', 'NOW'],
        checks.map(({ check, key, threshold, clear, hits, clearHits, severity, firing, since, message }) => [
          check,
          value(key, threshold),
          value(key, clear),
          `${hits}/${clearHits}`,
          severity,
          firing ? `since ${time(since ?? 0)}: ${plain(message ?? '')}` : '-',
        ]),
      ),
    );
  return parts.join('\n');
}

const words = { ok: 'well', bad: 'BAD', none: 'no limit', unknown: 'not known yet' };
/** `vs monitor check`: what each check found just now. */
export function checkText({ name, checks }: Data<'monitor.check'>, host: string): string {
  if (checks.length === 0) return `${name} on ${host}: nothing is checked; see vs monitor edit ${name}`;
  return table(
    ['CHECK', 'RESULT', 'VALUE', 'FIRES AT', 'WHAT'],
    checks.map((one) => [
      one.check,
      words[one.result],
      value(one.key, one.value),
      value(one.key, one.threshold),
      plain(one.message ?? ''),
    ]),
  );
}

/** What a change has brought about, in one line. */
export function appliedText({ name, enabled, running, checks }: MonitorApplied, host: string): string {
  if (!enabled) return `${name} on ${host}: it is not watched`;
  if (checks === 0)
    return `${name} on ${host}: nothing is checked, for its monitor.conf says nothing; see vs monitor edit ${name}`;
  return `${name} on ${host}: watched by ${checks} checks, ${running ? 'from now on' : 'when it runs'}`;
}
