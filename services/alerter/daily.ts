import type { Settings } from '../../config/settings.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { messageIdOf } from './render.ts';
import type { Queued } from './queue.ts';
import type { AlerterState } from './state.ts';
import { escapeHtml, momentOf, plain, wrap } from './text.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const LINES = 50;

/** When the hour of the digest last began (local time, ms). */
export function lastHour(now: number, hour: number): number {
  const date = new Date(now);
  date.setHours(hour, 0, 0, 0);
  if (date.getTime() > now) date.setDate(date.getDate() - 1);
  return date.getTime();
}
/** Is a digest due? After the hour, and once: also when the master was away at the hour, for a few hours. */
export const isDigestDue = (state: AlerterState, settings: Settings, now: number): boolean =>
  settings.MAIL_DIGEST_HOUR >= 0 &&
  state.digest < lastHour(now, settings.MAIL_DIGEST_HOUR) &&
  now - lastHour(now, settings.MAIL_DIGEST_HOUR) < 6 * HOUR_MS;
export const isAliveDue = (state: AlerterState, settings: Settings, now: number): boolean =>
  settings.ALIVE_MAIL_HOURS > 0 && now - state.alive >= settings.ALIVE_MAIL_HOURS * HOUR_MS;

/** At most so many lines, and how many more there are. */
const some = (lines: string[]): string[] =>
  lines.length > LINES ? [...lines.slice(0, LINES), `... and ${lines.length - LINES} more`] : lines;

/** What the digest says: alerts that fire, those of the last day, packages that could be upgraded. */
export function digestText(state: AlerterState, vservers: VserverState[], now: number): string {
  const firing = Object.values(state.incidents).filter(({ clear }) => clear === undefined);
  const past = state.past.filter(({ ended }) => now - ended < DAY_MS);
  const upgrades = vservers.filter(({ upgrades: count = 0 }) => count > 0);
  const section = (title: string, lines: string[], none: string) =>
    [
      title,
      ...(lines.length > 0 ? some(lines) : [none]).map((line) => wrap(plain(line, 300), 78, '  ')),
    ].join('\n');
  return [
    section(
      `Alerts that fire: ${firing.length}`,
      firing.map(
        (one) =>
          `${one.host}:${one.subject}:${one.message}${one.ack ? ` (${one.ack.by} looks after it)` : ''}`,
      ),
      'none',
    ),
    section(
      `Alerts that ended in the last 24 hours: ${past.length}`,
      past.map((one) => `${momentOf(one.began)} ${one.subject} ${one.check}: ${one.message}`),
      'none',
    ),
    section(
      `Vservers with upgrades: ${upgrades.length}`,
      upgrades.map(
        (one) =>
          `${one.name} on ${one.host}: ${one.upgrades}${one.security_upgrades ? `, ${one.security_upgrades} of them for security` : ''}`,
      ),
      'none',
    ),
  ].join('\n\n');
}

/** A message that is no alert. */
export function plainMessage(about: {
  seq: number;
  channel: string;
  subject: string;
  text: string;
  kind: string;
  now: number;
  host: string;
}): Queued {
  const { seq, channel, subject, text, kind, now, host } = about;
  const title = plain(subject, 180);
  return {
    version: 1,
    seq,
    channel,
    messageId: messageIdOf(`${kind}-${now.toString(36)}.${seq.toString(36)}`, channel, host),
    references: [],
    date: now,
    subject: title,
    text: `${text}\n`,
    html: `<!DOCTYPE html>\n<html><head><meta charset="utf-8" /><title>${escapeHtml(title)}</title></head><body><pre style="white-space:pre-wrap">${escapeHtml(text)}</pre></body></html>\n`,
    images: [],
    severity: 'warning',
    data: { kind },
  };
}
