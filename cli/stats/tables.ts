import { keptFigures, titleOf } from '../../shared/contract/figures.ts';
import type { Data } from '../../shared/contract/commands.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import { moment, table } from '../table.ts';
import { age, figureText, sparkline } from './figures.ts';

const WIDTH = 80;

/** A table of at most 80 columns: the column `gives` gives way, and ends in a dot where it does. */
export function fitted(headings: string[], rows: string[][], gives = 0, width = WIDTH): string {
  const others = headings.reduce((sum, heading, column) => {
    if (column === gives) return sum;
    return sum + 2 + Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0));
  }, 0);
  const room = Math.max(headings[gives]?.length ?? 0, width - others);
  const clip = (text: string) => (text.length > room ? `${text.slice(0, Math.max(1, room - 1))}…` : text);
  return table(
    headings,
    rows.map((row) => row.map((text, column) => (column === gives ? clip(text) : text))),
  );
}

/** The number of a figure; undefined when it is not there. */
export const numberOf = (one: NewestFigures, key: string): number | undefined => {
  const value = one.figures[key];
  return typeof value === 'number' ? value : undefined;
};
/** Sum of rates, such as in and out; undefined before the second sample. */
export const rateOf = (one: NewestFigures, ...keys: string[]): number | undefined => {
  const known = keys.flatMap((key) => one.rates[key] ?? []);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
};
const text = (one: NewestFigures, key: string) => figureText(key, numberOf(one, key), false);
const flow = (one: NewestFigures, ...keys: string[]) => figureText(keys[0] ?? '', rateOf(one, ...keys), true);
const plain = (one: NewestFigures, key: string) => String(numberOf(one, key) ?? '-');

function hostRow(one: NewestFigures): string[] {
  if (one.ts === undefined) return [one.name, one.state, ...Array.from({ length: 7 }, () => '-')];
  return [
    one.name,
    text(one, 'cpu_pct'),
    text(one, 'load_1'),
    text(one, 'mem_pct'),
    text(one, 'disk_free_bytes'),
    flow(one, 'io_read_bytes', 'io_write_bytes'),
    flow(one, 'net_rx_bytes', 'net_tx_bytes'),
    `${plain(one, 'vservers_running')}/${plain(one, 'vservers_hosted')}`,
    text(one, 'uptime_seconds'),
  ];
}
function vserverRow(one: NewestFigures): string[] {
  if (one.ts === undefined) return [one.name, one.host, one.state, ...Array.from({ length: 6 }, () => '-')];
  return [
    one.name,
    one.host,
    text(one, 'cpu_pct'),
    text(one, 'mem_bytes'),
    text(one, 'mem_pct'),
    plain(one, 'procs'),
    text(one, 'disk_bytes'),
    flow(one, 'io_read_bytes', 'io_write_bytes'),
    flow(one, 'net_rx_bytes', 'net_tx_bytes'),
  ];
}

/** One line for each host and each vserver. */
export function overview(subjects: NewestFigures[]): string {
  const hosts = subjects.filter(({ kind }) => kind === 'host');
  const vservers = subjects.filter(({ kind }) => kind === 'vserver');
  const parts: string[] = [];
  if (hosts.length > 0)
    parts.push(fitted(['HOST', 'CPU', 'LOAD', 'MEM', 'FREE', 'IO', 'NET', 'RUN', 'UP'], hosts.map(hostRow)));
  if (vservers.length > 0) {
    const rows = vservers.map(vserverRow);
    const headings = ['VSERVER', 'HOST', 'CPU', 'MEMORY', 'LIMIT', 'PROCS', 'DISK', 'IO', 'NET'];
    const long = rows.map((row) => row.map((cell, at) => (at === 1 ? cell.slice(0, 10) : cell)));
    parts.push(fitted(headings, long));
  }
  return parts.join('\n\n');
}

/** Used, most, limit and hits of what has a limit. */
function limitRows(one: NewestFigures): string[][] {
  const row = (label: string, keys: [string, string?, string?, string?]) => {
    if (numberOf(one, keys[0]) === undefined) return [];
    const cell = (key: string | undefined) => (key === undefined ? '-' : text(one, key));
    return [
      [label, ...[0, 1, 2].map((at) => cell(keys[at])), keys[3] === undefined ? '-' : plain(one, keys[3])],
    ];
  };
  return [
    ...row('memory', ['mem_bytes', 'mem_max_bytes', 'mem_limit_bytes', 'mem_hits_total']),
    ...row('swap', ['swap_bytes', undefined, 'swap_limit_bytes']),
    ...row('processes', ['procs', 'procs_max', 'procs_limit', 'procs_hits_total']),
    ...row('disk', ['disk_bytes', undefined, 'disk_limit_bytes']),
    ...row('tmp', ['tmp_bytes', undefined, 'tmp_limit_bytes']),
  ];
}

/** One host or vserver in full. */
export function details(one: NewestFigures, now: number): string {
  const where = one.kind === 'vserver' ? ` on ${one.host}` : '';
  const head = `${one.name}${where}: ${[one.state, one.address].filter(Boolean).join(', ')}`;
  if (one.ts === undefined)
    return `${head}\nThere are no figures of it now${one.state === 'running' ? '; they come every 10 s (METRICS_INTERVAL)' : ''}.`;
  const both = (lead: string, what: string, ways: [string, string]) =>
    ways
      .map((way) => figureText(`${lead}_${way}_${what}`, one.rates[`${lead}_${way}_${what}`], true))
      .join(' / ');
  const sum = (what: string) =>
    (numberOf(one, `net_rx_${what}`) ?? 0) + (numberOf(one, `net_tx_${what}`) ?? 0);
  const pressure = (what: string) => {
    const [some, full] = ['some', 'full'].map((word) => numberOf(one, `psi_${what}_${word}_pct`));
    return some === undefined ? [] : [`${what} ${some} %${full === undefined ? '' : ` (all ${full} %)`}`];
  };
  const lines: [string, string][] = [
    [
      'cpu',
      `${text(one, 'cpu_pct')}${numberOf(one, 'cpu_limit_cores') === undefined ? '' : ` of ${text(one, 'cpu_limit_cores')}`}, ${text(one, 'cpu_seconds_total')} in all`,
    ],
    ['load', ['load_1', 'load_5', 'load_15'].map((key) => text(one, key)).join('  ')],
    [
      'io',
      `${both('io', 'bytes', ['read', 'write'])}  (read / written ${text(one, 'io_read_bytes')} / ${text(one, 'io_write_bytes')})`,
    ],
    [
      'net',
      `${both('net', 'bytes', ['rx', 'tx'])}  (in / out ${text(one, 'net_rx_bytes')} / ${text(one, 'net_tx_bytes')})`,
    ],
    [
      'packets',
      `${both('net', 'packets_total', ['rx', 'tx'])}, ${sum('errors_total')} errors, ${sum('drops_total')} drops`,
    ],
    ['sockets', `${plain(one, 'sockets')} open, ${plain(one, 'inet_sockets')} of them inet`],
    ['pressure', ['cpu', 'mem', 'io'].flatMap(pressure).join(', ') || 'this kernel does not tell'],
    ['up', text(one, 'uptime_seconds')],
  ];
  if (one.kind === 'host')
    lines.push(['vservers', `${plain(one, 'vservers_running')} of ${plain(one, 'vservers_hosted')} run`]);
  return [
    `${head}; figures of ${age(Math.max(0, (now - one.ts) / 1000))} ago`,
    table(['', 'USED', 'MOST', 'LIMIT', 'HITS'], limitRows(one)),
    ...lines.map(([label, words]) => `${label.padEnd(9)}  ${words}`.slice(0, WIDTH)),
  ].join('\n');
}

/** What was kept of one subject: minimum, average, maximum, and a line of it. What was zero all the time is named at the end. */
export function past(found: Data<'history.query'>): string {
  const known = [...keptFigures.map(({ key }) => key), ...Object.keys(found.figures)];
  const all = [...new Set(known)].flatMap((key) => {
    const figure = found.figures[key];
    return figure ? [{ key, ...figure }] : [];
  });
  const some = all.filter(({ max }) => max !== 0);
  const head = `${found.subject}: since ${moment(found.since)}, a point each ${age(found.step)}`;
  if (all.length === 0) return `${head}\nNothing was heard of it in that time.`;
  const rows = some.map(({ key, min, avg, max, points }) => [
    titleOf(key),
    figureText(key, min),
    figureText(key, avg),
    figureText(key, max),
    sparkline(points, 26),
  ]);
  const zero = all.filter(({ max }) => max === 0).map(({ key }) => titleOf(key));
  return [
    head,
    fitted(['FIGURE', 'MIN', 'AVERAGE', 'MAX', 'FROM ZERO'], rows),
    ...(zero.length > 0 ? [wrap(`All the time 0: ${zero.join(', ')}`)] : []),
  ].join('\n');
}
/** Words in lines of at most 80 columns. */
function wrap(words: string): string {
  const lines = [''];
  for (const word of words.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}
