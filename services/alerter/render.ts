import { createHash } from 'node:crypto';
import type { NewestFigures } from '../../shared/contract/history.ts';
import { age, figureText } from '../../shared/figure-text.ts';
import { adviceOf } from './advice.ts';
import type { Queued } from './queue.ts';
import type { Message, Notice } from './state.ts';
import { escapeHtml, fixed, momentOf, plain, wrap } from './text.ts';

/** What is known beside the alerts when a message is made. */
export interface Facts {
  figures: NewestFigures[];
  /** Long texts of an alert, such as a process tree, by the incident's id. */
  details: Map<string, string>;
  charts: { cid: string; title: string; png: Buffer }[];
}
export const noFacts = (): Facts => ({ figures: [], details: new Map(), charts: [] });

const SUBJECT = 180;
const SENTENCE = 1000;
const DETAIL = 8000;
const DETAIL_LINES = 120;
/** Text and HTML never get longer than this, whatever is in them (characters). */
const BODY = 100_000;
const shown = [
  'cpu_pct',
  'load_1',
  'mem_bytes',
  'mem_pct',
  'swap_bytes',
  'procs',
  'disk_bytes',
  'disk_free_bytes',
  'psi_mem_some_pct',
  'psi_io_some_pct',
  'uptime_seconds',
];
const titles: Record<string, string> = {
  cpu_pct: 'cpu',
  load_1: 'load',
  mem_bytes: 'memory',
  mem_pct: 'memory of limit',
  swap_bytes: 'swap',
  procs: 'processes',
  disk_bytes: 'disk',
  disk_free_bytes: 'disk free',
  psi_mem_some_pct: 'memory pressure',
  psi_io_some_pct: 'io pressure',
  uptime_seconds: 'up for',
};
const words: Record<Notice['kind'], string> = {
  begin: 'BEGINS',
  worse: 'WORSE',
  remind: 'STILL',
  end: 'ENDS',
  passed: 'WAS',
};
const colours: Record<Notice['kind'], string> = {
  begin: '#d93025',
  worse: '#d93025',
  remind: '#e8710a',
  end: '#12a150',
  passed: '#5f6368',
};

/** The Message-ID of a message: the same whenever it is made, so that a second copy can be known. */
export const messageIdOf = (id: string, channel: string, host: string): string =>
  `<${id}.${createHash('sha256').update(channel).digest('hex').slice(0, 12)}@${host}.vs-tools>`;

const sentence = (one: Notice): string => plain(one.incident.message, SENTENCE);
/** `host:vserver:message`, as the classic monitor wrote it. */
function subjectOf({ notices, more }: Message): string {
  const [first] = notices;
  if (!first) return 'vs-tools';
  // many messages begin with what they are about, which stands there already
  const { host, subject, check, message } = first.incident;
  const said = [`${subject}: `, `${host}: `].reduce(
    (text, lead) => (text.startsWith(lead) ? text.slice(lead.length) : text),
    message,
  );
  const over =
    first.kind === 'end'
      ? `${check} is over: `
      : first.kind === 'passed'
        ? `${check} was: `
        : first.kind === 'remind'
          ? 'still: '
          : '';
  const count = notices.length + more;
  if (count === 1) return plain(`${host}:${subject}:${over}${said}`, SUBJECT);
  const hosts = new Set(notices.map((one) => one.incident.host));
  const where = hosts.size === 1 ? host : `${hosts.size} hosts`;
  const subjects = new Set(notices.map((one) => one.incident.subject));
  const who = subjects.size === 1 ? subject : `${count} alerts`;
  return plain(
    `${where}:${who}:${over}${said}${subjects.size === 1 ? ` (and ${count - 1} more)` : ''}`,
    SUBJECT,
  );
}

const lasted = (one: Notice): string =>
  one.ended === undefined
    ? ''
    : `, ended ${momentOf(one.ended)} after ${age(Math.max(0, one.ended - one.incident.began) / 1000)}`;
function factsOf(one: Notice): string[] {
  const { began, count, ack, severity, check } = one.incident;
  return [
    `${severity}, check ${plain(check, 100)}, began ${momentOf(began)}${lasted(one)}`,
    ...(count > 1
      ? [
          `It came and went: it began ${count} times within an hour. It counts as ended only when it stays quiet.`,
        ]
      : []),
    ...(ack ? [`${plain(ack.by, 64)} looks after it: ${plain(ack.why, 300)}`] : []),
  ];
}
const isOver = (one: Notice): boolean => one.kind === 'end' || one.kind === 'passed';

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
const rowsOf = ({ figures }: NewestFigures): [string, string][] =>
  shown.flatMap((key): [string, string][] => {
    const value = figures[key];
    return typeof value === 'number' ? [[titles[key] ?? key, figureText(key, value, false)]] : [];
  });
const detailOf = (facts: Facts, one: Notice): string => {
  const text = facts.details.get(one.incident.id) ?? '';
  const lines = plain(text, DETAIL, true).split('\n');
  return lines.length > DETAIL_LINES
    ? `${lines.slice(0, DETAIL_LINES).join('\n')}\n... ${lines.length - DETAIL_LINES} more lines`
    : lines.join('\n');
};

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

function htmlOf(message: Message, facts: Facts, notes: string[]): string {
  const safe = (text: string, most = SENTENCE) => escapeHtml(plain(text, most));
  const pre = (text: string) =>
    `<pre style="background:#f1f3f4;padding:8px;font-size:12px;white-space:pre-wrap">${escapeHtml(text)}</pre>`;
  let room = BODY;
  const fit = (part: string): string => {
    room -= part.length;
    return room >= 0 ? part : '';
  };
  const alerts = message.notices.map((one) =>
    fit(
      `<div style="border-left:4px solid ${colours[one.kind]};padding:2px 12px;margin:12px 0">` +
        `<p style="margin:4px 0"><b style="color:${colours[one.kind]}">${words[one.kind]}</b> <b>${safe(one.incident.host, 100)}:${safe(one.incident.subject, 100)}</b></p>` +
        `<p style="margin:4px 0">${escapeHtml(sentence(one))}</p>` +
        factsOf(one)
          .map((line) => `<p style="margin:4px 0;color:#5f6368">${escapeHtml(line)}</p>`)
          .join('') +
        (isOver(one) ? '' : `<p style="margin:4px 0"><i>To do:</i> ${safe(adviceOf(one.incident))}</p>`) +
        (detailOf(facts, one) ? pre(detailOf(facts, one)) : '') +
        `</div>`,
    ),
  );
  const figures = facts.figures.map((one) => {
    const rows = rowsOf(one).map(
      ([title, value]) =>
        `<tr><td style="padding:1px 16px 1px 0">${escapeHtml(title)}</td><td>${escapeHtml(value)}</td></tr>`,
    );
    const where = one.kind === 'vserver' ? ` on ${safe(one.host, 100)}` : '';
    return fit(
      `<h4 style="margin:16px 0 4px">${one.kind} ${safe(one.name, 100)}${where}</h4><table style="border-collapse:collapse">${rows.join('')}</table>`,
    );
  });
  const charts = facts.charts.map(
    ({ cid, title }) =>
      `<p><img src="cid:${escapeHtml(cid)}" alt="${safe(title, 200)}" style="max-width:100%" /></p>`,
  );
  const rest = room < 0 ? '<p>More did not find room here: vs alerts shows all.</p>' : '';
  const said = notes.map((note) => `<p><b>${escapeHtml(note)}</b></p>`).join('');
  return `<!DOCTYPE html>\n<html><head><meta charset="utf-8" /><title>${escapeHtml(subjectOf(message))}</title></head><body style="font-family:sans-serif;color:#202124">\n${alerts.join('\n')}${rest}${said}${figures.join('\n')}${charts.join('\n')}\n<p style="color:#5f6368;font-size:12px">vs alerts shows what fires; vs alert ack NAME CHECK ends the reminders; vs alert silence NAME CHECK --for 2h keeps quiet.</p>\n</body></html>\n`;
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
