import { createHash } from 'node:crypto';
import { adviceOf } from './advice.ts';
import { htmlOf } from './html.ts';
import {
  BODY,
  type Facts,
  SENTENCE,
  detailOf,
  factsOf,
  isOver,
  rowsOf,
  sentence,
  subjectOf,
  words,
} from './parts.ts';
import type { Queued } from './queue.ts';
import type { Message } from './state.ts';
import { fixed, momentOf, plain, wrap } from './text.ts';

/** The Message-ID of a message: the same whenever it is made, so that a second copy can be known. */
export const messageIdOf = (id: string, channel: string, host: string): string =>
  `<${id}.${createHash('sha256').update(channel).digest('hex').slice(0, 12)}@${host}.vs-tools>`;

/** What stands below the alerts: notes on the message itself. */
function notesOf(message: Message, perHour: number): string[] {
  return [
    ...(message.more > 0 ? [`${message.more} further alerts are not named here: vs alerts`] : []),
    ...(message.heldSince === undefined
      ? []
      : [
          `No more than ${perHour} messages an hour go to one place. This one waited since ${momentOf(message.heldSince)}, and has all ${message.notices.length + message.more} alerts that came meanwhile.`,
        ]),
  ];
}
function textOf(message: Message, facts: Facts, notes: string[]): string {
  const alerts = message.notices.map((one) => {
    const { host, subject } = one.incident;
    const head = wrap(`${words[one.kind]}  ${plain(host, 100)}:${plain(subject, 100)}`);
    const todo = isOver(one)
      ? ''
      : `\n${wrap(`To do: ${plain(adviceOf(one.incident), SENTENCE)}`, 78, '  ')}`;
    const detail = detailOf(facts, one);
    return `${head}\n${wrap(sentence(one), 78, '  ')}\n${wrap(factsOf(one).join('\n'), 78, '  ')}${todo}${detail ? `\n\n${fixed(detail, 80, '    ')}` : ''}`;
  });
  const figures = facts.figures.map((one) => {
    const rows = rowsOf(one).map(([title, value]) => `  ${title.padEnd(18)}${value}`);
    return [
      `${one.kind} ${plain(one.name, 100)}${one.kind === 'vserver' ? ` on ${plain(one.host, 100)}` : ''}, newest figures`,
      ...rows,
    ].join('\n');
  });
  const parts = [...alerts, ...notes.map((note) => wrap(note)), ...figures];
  const body = parts.join('\n\n');
  return `${body.length > BODY ? `${body.slice(0, BODY)}\n... cut here: vs alerts shows all` : body}\n\n-- \n${wrap('vs alerts shows what fires; vs alert ack NAME CHECK ends the reminders; vs alert silence NAME CHECK --for 2h keeps quiet.')}\n`;
}

/** A message as it is sent: bounded in size, and nothing in it is more than text. `host`: the master's name. */
export function render(
  message: Message,
  facts: Facts,
  { host, perHour }: { host: string; perHour: number },
): Queued {
  const { id, seq, channel, at, notices, more } = message;
  const notes = notesOf(message, perHour);
  const threads = [...new Set(notices.flatMap(({ thread }) => thread ?? []))].slice(0, 10);
  const grave = notices.some((one) => one.incident.severity === 'critical' && !isOver(one));
  return {
    version: 1,
    seq,
    channel,
    messageId: messageIdOf(id, channel, host),
    references: threads.map((thread) => messageIdOf(thread, channel, host)),
    date: at,
    subject: subjectOf(message),
    text: textOf(message, facts, notes),
    html: htmlOf(message, facts, notes),
    images: facts.charts.map(({ cid, png }) => ({ cid, png: png.toString('base64') })),
    severity: grave ? 'critical' : 'warning',
    data: {
      severity: grave ? 'critical' : 'warning',
      more,
      notices: notices.map(({ kind, ended, incident }) => ({
        kind,
        ...(ended === undefined ? {} : { ended }),
        id: incident.id,
        host: incident.host,
        subject: incident.subject,
        check: incident.check,
        severity: incident.severity,
        message: plain(incident.message, SENTENCE),
        began: incident.began,
      })),
    },
  };
}
