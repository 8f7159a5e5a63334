import type { AlertFilter, AlertLine } from '../../config/alerts.ts';
import type { Silence } from '../../shared/contract/alerter.ts';

/** What routes and silences look at. */
export interface About {
  target: string;
  subject: string;
  check: string;
  host: string;
  severity: 'warning' | 'critical';
  /** Addresses that the alert brings along (MONITOR_MAILTO). */
  mailto?: string[] | undefined;
}

/** Does a name fit a pattern, in which `*` stands for anything? Linear in time, whatever the pattern. */
export function fits(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first) || text.length < first.length + last.length || !text.endsWith(last))
    return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > text.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

const takes = (filter: AlertFilter, about: About): boolean =>
  (filter.vserver === undefined || fits(filter.vserver, about.subject)) &&
  (filter.host === undefined || fits(filter.host, about.host)) &&
  (filter.check === undefined || fits(filter.check, about.check)) &&
  (filter.severity !== 'critical' || about.severity === 'critical');

/** The key of a channel in the state and the queue. */
export function channelsOf(line: AlertLine): string[] {
  if (line.kind === 'mail') return line.to.map((to) => `mail:${to}`);
  if (line.kind === 'webhook') return [`webhook:${line.url}`];
  return line.kind === 'exec' ? [`exec:${line.argv.join(' ')}`] : [];
}

/**
 * Who is told of an alert: every line of alerts.conf that takes it; MAIL_TO when no mail line does; then whom the alert itself
 * names: a host can add people, and take nobody away. Mails cannot tell that mails fail: alerts of the alerter itself go to
 * webhooks and programs alone.
 */
export function routeOf(lines: AlertLine[], mailTo: string[], about: About): string[] {
  const own = about.target === 'master' && about.subject === 'alerter';
  const taken = lines.filter((line) => takes(line.filter, about) && !(own && line.kind === 'mail'));
  const byMail = own || taken.some((line) => line.kind === 'mail');
  const named = own ? [] : (about.mailto ?? []);
  const mails = [...(byMail ? [] : mailTo), ...named].map((to) => `mail:${to}`);
  return [...new Set([...taken.flatMap(channelsOf), ...mails])];
}

/** Is it quiet, by a silence or by a maintenance line (local time)? */
export function isSilent(silences: Silence[], lines: AlertLine[], about: About, now: number): boolean {
  const covers = ({ subject, check, from, until }: Silence) =>
    from <= now &&
    now < until &&
    (fits(subject, about.subject) || fits(subject, about.host)) &&
    fits(check, about.check);
  return silences.some(covers) || lines.some((line) => takes(line.filter, about) && isMaintenance(line, now));
}
function isMaintenance(line: AlertLine, now: number): boolean {
  if (line.kind !== 'maintenance') return false;
  const date = new Date(now);
  const minute = date.getHours() * 60 + date.getMinutes();
  const { days, from, until } = line;
  if (from < until) return days.includes(date.getDay()) && from <= minute && minute < until;
  // over midnight: the day is that of its begin
  if (minute >= from) return days.includes(date.getDay());
  return minute < until && days.includes((date.getDay() + 6) % 7);
}
