import type { AlertRow, Silence } from '../shared/contract/alerter.ts';
import { age } from '../shared/figure-text.ts';
import { moment, table } from './table.ts';

/** On one line, without what could steer a terminal. */
const clean = (text: string, most: number): string => {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ');
  return line.length > most ? `${line.slice(0, most - 3)}...` : line;
};

/** What else is to be said of an alert: `acked by anna`, `silenced`, `unknown`. */
export function marksOf(one: AlertRow): string {
  const marks = [
    ...(one.stale ? ['host is offline'] : []),
    ...(one.clear === undefined ? [] : ['quiet now']),
    ...(one.count > 1 ? [`${one.count} times`] : []),
    ...(one.silenced ? ['silenced'] : []),
    ...(one.ack ? [`${one.ack.by} looks after it`] : []),
  ];
  return marks.join(', ');
}

/** Alerts in columns; each message below its own line, so that it can be read in 80 columns. */
export function alertsText(alerts: AlertRow[], silences: Silence[], now: number): string {
  const rows = alerts.map((one) => [
    one.severity,
    one.target,
    clean(one.subject, 32),
    clean(one.check, 24),
    one.began === 0 ? '-' : age(Math.max(0, now - one.began) / 1000),
    marksOf(one),
  ]);
  const [head = '', ...lines] = table(['SEVERITY', 'FROM', 'SUBJECT', 'CHECK', 'SINCE', ''], rows).split(
    '\n',
  );
  const shown = lines.map((line, index) => `${line}\n  ${clean(alerts[index]?.message ?? '', 400)}`);
  const quiet = silences.map(
    (one) =>
      `silenced: ${clean(one.subject, 32)} ${clean(one.check, 24)} from ${moment(one.from)} until ${moment(one.until)} by ${clean(one.by, 64)}: ${clean(one.why, 300)}`,
  );
  const said = alerts.length === 0 ? ['No alert fires.'] : [head.trimEnd(), ...shown];
  return [...said, ...(quiet.length > 0 ? ['', ...quiet] : [])].join('\n');
}
