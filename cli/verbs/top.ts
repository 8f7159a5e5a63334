import { type Command, Option } from 'commander';
import type { NewestFigures } from '../../shared/contract/history.ts';
import { withClient } from '../client.ts';
import { checkHost } from '../names.ts';
import { openNewest } from '../stats/newest.ts';
import { repeat } from '../stats/screen.ts';
import { figureText } from '../stats/figures.ts';
import { fitted, numberOf, rateOf } from '../stats/tables.ts';

interface Options {
  host?: string;
  sort: Sort;
  once?: boolean;
  json?: boolean;
}
export type Sort = 'cpu' | 'mem' | 'io' | 'net';
const EVERY_MS = 2000;
const io = ['io_read_bytes', 'io_write_bytes'];
const net = ['net_rx_bytes', 'net_tx_bytes'];
const keys = ['ts', 'cpu_pct', 'mem_bytes', 'mem_pct', 'load_1', 'procs', 'vservers_running', ...io, ...net];

const weights: Record<Sort, (one: NewestFigures) => number> = {
  cpu: (one) => numberOf(one, 'cpu_pct') ?? -1,
  mem: (one) => numberOf(one, 'mem_bytes') ?? -1,
  io: (one) => rateOf(one, ...io) ?? -1,
  net: (one) => rateOf(one, ...net) ?? -1,
};

/** Vservers that run, the one with most first. */
export const ranked = (subjects: NewestFigures[], sort: Sort): NewestFigures[] =>
  subjects
    .filter(({ kind, ts }) => kind === 'vserver' && ts !== undefined)
    .sort((a, b) => weights[sort](b) - weights[sort](a) || a.name.localeCompare(b.name));

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;

/** A line for each host, then the vservers; at most 80 columns. */
export function topText(subjects: NewestFigures[], sort: Sort, now: Date): string {
  const hosts = subjects.filter(({ kind }) => kind === 'host');
  const rows = ranked(subjects, sort).map((one) => [
    one.name,
    one.host.slice(0, 14),
    figureText('cpu_pct', numberOf(one, 'cpu_pct')),
    figureText('mem_bytes', numberOf(one, 'mem_bytes')),
    figureText('mem_pct', numberOf(one, 'mem_pct')),
    figureText('load_1', numberOf(one, 'load_1')),
    String(numberOf(one, 'procs') ?? '-'),
    figureText('io_read_bytes', rateOf(one, ...io)),
    figureText('net_rx_bytes', rateOf(one, ...net)),
  ]);
  const about = hosts.map((one) => {
    const state =
      one.ts === undefined
        ? one.state
        : `cpu ${figureText('cpu_pct', numberOf(one, 'cpu_pct'))}, memory ${figureText('mem_pct', numberOf(one, 'mem_pct'))}, load ${figureText('load_1', numberOf(one, 'load_1'))}, ${numberOf(one, 'vservers_running') ?? 0} run`;
    return `${one.name}: ${state}`.slice(0, 80);
  });
  const head = `${now.toTimeString().slice(0, 8)}  ${count(hosts.length, 'host')}, ${count(rows.length, 'vserver')}, by ${sort}`;
  const headings = ['VSERVER', 'HOST', 'CPU', 'MEMORY', 'LIMIT', 'LOAD', 'PROCS', 'IO', 'NET'];
  return [head, ...about.slice(0, 8), '', fitted(headings, rows)].join('\n');
}

/** `vs top`. */
export function register(program: Command): void {
  program
    .command('top')
    .description('the vservers of the pool that use most, until q or ctrl-C')
    .option('--host <host>', 'of this host only')
    .addOption(new Option('--sort <what>', 'by').choices(['cpu', 'mem', 'io', 'net']).default('cpu'))
    .option('--once', 'once, and end; so it is without a terminal')
    .option('--json', 'once, for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs top\n  vs top --host host1 --sort mem\n  vs top --once | head\n\nFigures come every 10 s; io and net are in and out per second.',
    )
    .action(async (options: Options) => {
      if (options.host !== undefined) checkHost(options.host);
      const wanted = [{ keys, ...(options.host === undefined ? {} : { host: options.host }) }];
      await withClient(async (client) => {
        const newest = openNewest(client);
        if (options.json)
          return console.log(JSON.stringify(ranked(await newest(wanted), options.sort), null, 2));
        const text = async () => topText(await newest(wanted), options.sort, new Date());
        if (options.once || !process.stdout.isTTY) console.log(await text());
        else await repeat(EVERY_MS, client.lost, text);
      });
    });
}
