import { createHash } from 'node:crypto';
import { htmlOf } from './html.ts';
import { BODY, type Facts, SENTENCE, isOver, subjectOf, tablesOf, toldOf } from './parts.ts';
import type { Queued } from './queue.ts';
import type { Message } from './state.ts';
import { fixed, momentOf, plain, together, wrap } from './text.ts';

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
const foot = `vs alerts                                      what fires
vs alert ack NAME CHECK                        ends the reminders
vs alert silence NAME CHECK --for 2h --why ... keeps quiet`;

function textOf(message: Message, facts: Facts, notes: string[]): string {
  const alerts = message.notices.map((one) => {
    const told = toldOf(facts, one);
    const lines = [
      wrap(`${told.word}  ${told.where}`),
      wrap(told.sentence, 78, '  '),
      wrap(told.facts.join('\n'), 78, '  '),
      ...(told.todo ? [together(`To do: ${told.todo}`, (text) => wrap(text, 78, '  '))] : []),
      ...(told.detail ? ['', fixed(told.detail, 80, '    ')] : []),
    ];
    return lines.join('\n');
  });
  const figures = tablesOf(facts).map(({ kind, name, host, rows }) => {
    const lines = rows.map(([title, value]) => `  ${title.padEnd(18)}${value}`);
    return [`${kind} ${name}${kind === 'vserver' ? ` on ${host}` : ''}, newest figures`, ...lines].join('\n');
  });
  const parts = [...alerts, ...notes.map((note) => wrap(note)), ...figures];
  const body = parts.join('\n\n');
  return `${body.length > BODY ? `${body.slice(0, BODY)}\n... cut here: vs alerts shows all` : body}\n\n-- \n${foot}\n`;
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
