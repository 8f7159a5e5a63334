import { isIP } from 'node:net';
import { type Restart, restart } from './mend.ts';
import { count, seconds, yesNo } from './values.ts';
import { type Report, type Word, quoted } from './words.ts';

/** Something that listens, as seen from inside of the vserver. */
export interface Endpoint {
  address: string;
  port: number;
}
export interface Daemon {
  name: string;
  /** What its processes are called (comm, or the name of the program), and how many of them there have to be. */
  process?: string;
  min: number;
  max?: number;
  tcp?: Endpoint;
  http?: Endpoint & { host: string; path: string };
  /** Statuses of HTTP that are right; empty: 200 to 399. */
  expect: number[];
  /** A program inside of the vserver and its arguments; right is exit code 0. */
  exec?: string[];
  timeoutMs: number;
  /** What is done while it is not well: restarts of it, so many within an hour at most, then one of its vserver. */
  mend?: { restart?: Restart; perHour: number; vserver: boolean };
}

const known = 'process min max tcp http expect exec timeout restart restarts restart_vserver'.split(' ');
const port = (text: string) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;
const addressOf = (text: string) => (text === 'localhost' ? '127.0.0.1' : text.replaceAll(/[[\]]/g, ''));

/** `80`, `10.0.0.5:80`, `[::1]:80`. */
function endpoint(text: string): Endpoint {
  const [, host, digits = ''] = /^(?:(localhost|[0-9.]+|\[[0-9a-fA-F:.]+\]):)?(\d+)$/.exec(text) ?? [];
  const address = addressOf(host ?? 'localhost');
  if (!port(digits) || isIP(address) === 0)
    throw new Error('a port, or an address with a port such as 10.0.0.5:80 or [::1]:80');
  return { address, port: Number(digits) };
}
/** Names are not resolved: the check must neither wait for a server of names nor follow it. */
function http(text: string): NonNullable<Daemon['http']> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const address = addressOf(url?.hostname ?? '');
  // what URL mends in silence (control characters, blanks) would not be what stands in the file
  if (url?.protocol !== 'http:' || isIP(address) === 0 || /[^\x21-\x7e]/.test(text) || text.length > 1000)
    throw new Error('http://localhost/path, or an address in place of localhost');
  return { address, port: Number(url.port || 80), host: url.host, path: `${url.pathname}${url.search}` };
}
function statuses(text: string): number[] {
  const all = text.split(',');
  if (all.length > 20 || !all.every((one) => /^[1-5]\d\d$/.test(one)))
    throw new Error('statuses of HTTP such as 200 or 200,301');
  return all.map(Number);
}
function command(text: string): string[] {
  const words = text.split(/\s+/).filter(Boolean);
  if (!words[0]?.startsWith('/') || text.length > 1000 || /\p{Cc}/u.test(text))
    throw new Error('the absolute path of a program inside, with its arguments between quotes');
  return words;
}
function processName(text: string): string {
  if (!/^[^\s/\p{Cc}]{1,64}$/u.test(text)) throw new Error('the name of a process such as nginx');
  return text;
}

type Take = <T>(name: string, parse: (text: string) => T) => T | undefined;
function mendOf(take: Take): Daemon['mend'] {
  const how = take('restart', restart);
  const perHour = take('restarts', count(1, 20)) ?? 4;
  const vserver = take('restart_vserver', yesNo) ?? false;
  return how || vserver ? { ...(how ? { restart: how } : {}), perHour, vserver } : undefined;
}

/** A line `DAEMON=nginx process=nginx min=1 tcp=80 ...`; `words` without those that every check takes. */
export function daemonOf(first: Word, words: Word[], report: Report): Daemon | undefined {
  let right = true;
  const fault = (column: number, found: string, expected: string): void => {
    right = false;
    report(column, found, expected);
  };
  const given = new Map(words.map((one) => [one.name, one]));
  for (const one of words)
    if (!known.includes(one.name)) fault(one.column, quoted(one.name), `one of ${known.join(', ')}`);
  if (!/^[a-z0-9][a-z0-9_-]{0,31}$/.test(first.value))
    fault(
      first.valueColumn,
      quoted(first.value),
      'a name of small letters, digits, - and _ for this daemon, such as nginx',
    );
  const take: Take = (name, parse) => {
    const one = given.get(name);
    try {
      return one && parse(one.value);
    } catch (error) {
      if (one) fault(one.valueColumn, quoted(one.value), (error as Error).message);
      return undefined;
    }
  };
  const daemon = {
    name: first.value,
    process: take('process', processName),
    min: take('min', count(0, 100_000)) ?? 1,
    max: take('max', count(0, 100_000)),
    tcp: take('tcp', endpoint),
    http: take('http', http),
    expect: take('expect', statuses) ?? [],
    exec: take('exec', command),
    timeoutMs: 1000 * (take('timeout', seconds(0.1, 60)) ?? 5),
    mend: mendOf(take),
  };
  if (!['process', 'tcp', 'http', 'exec'].some((name) => given.has(name)))
    fault(first.column, quoted(first.value), 'what to check: process=, tcp=, http= or exec=');
  for (const [name, other] of [
    ['min', 'process'],
    ['max', 'process'],
    ['expect', 'http'],
    ['restarts', 'restart'],
  ] as const) {
    const one = given.get(name);
    if (one && !given.has(other)) fault(one.column, quoted(one.name), `${other}= with it`);
  }
  const most = given.get('max');
  if (most && daemon.max !== undefined && daemon.max < daemon.min)
    fault(most.valueColumn, quoted(most.value), `at least min, ${daemon.min}`);
  return right
    ? (Object.fromEntries(Object.entries(daemon).filter(([, value]) => value !== undefined)) as never)
    : undefined;
}
