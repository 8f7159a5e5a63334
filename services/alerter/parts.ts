import { adviceOf } from './advice.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import { age, figureText } from '../../shared/figure-text.ts';
import type { Message, Notice } from './state.ts';
import { momentOf, plain } from './text.ts';

/** What is known beside the alerts when a message is made. */
export interface Facts {
  figures: NewestFigures[];
  /** Long texts of an alert, such as a process tree, by the incident's id. */
  details: Map<string, string>;
  charts: { cid: string; title: string; png: Buffer }[];
}
export const noFacts = (): Facts => ({ figures: [], details: new Map(), charts: [] });

const SUBJECT = 180;
export const SENTENCE = 1000;
const DETAIL = 8000;
const DETAIL_LINES = 120;
/** Text and HTML never get longer than this, whatever is in them (characters). */
export const BODY = 100_000;
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
export const titlesInOrder = shown.map((key) => titles[key] ?? key);
const words: Record<Notice['kind'], string> = {
  begin: 'BEGINS',
  worse: 'WORSE',
  remind: 'STILL',
  end: 'ENDS',
  passed: 'WAS',
};
const sentence = (one: Notice): string => plain(one.incident.message, SENTENCE);
/** `host:vserver:message`, as the classic monitor wrote it. */
export function subjectOf({ notices, more }: Message): string {
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
export const isOver = (one: Notice): boolean => one.kind === 'end' || one.kind === 'passed';

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

/** A notice as both mails tell it: whatever others said is plain and bounded here, and nowhere else. */
export interface Told {
  word: string;
  /** `host:vserver`. */
  where: string;
  sentence: string;
  facts: string[];
  /** What a person can do; nothing when it is over. */
  todo: string;
  detail: string;
  isOver: boolean;
  isCritical: boolean;
}
export function toldOf(facts: Facts, one: Notice): Told {
  const { host, subject, severity } = one.incident;
  return {
    word: words[one.kind],
    where: `${plain(host, 100)}:${plain(subject, 100)}`,
    sentence: sentence(one),
    facts: factsOf(one),
    todo: isOver(one) ? '' : plain(adviceOf(one.incident), SENTENCE),
    detail: detailOf(facts, one),
    isOver: isOver(one),
    isCritical: severity === 'critical' && !isOver(one),
  };
}
export interface TableOfFigures {
  kind: string;
  name: string;
  host: string;
  rows: [string, string][];
}
export const tablesOf = ({ figures }: Facts): TableOfFigures[] =>
  figures.map((one) => ({
    kind: one.kind,
    name: plain(one.name, 100),
    host: plain(one.host, 100),
    rows: rowsOf(one),
  }));
