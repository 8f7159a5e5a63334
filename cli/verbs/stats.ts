import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { checkName, quoted } from '../names.ts';
import { openNewest } from '../stats/newest.ts';
import { repeat } from '../stats/screen.ts';
import { parseSpan } from '../stats/span.ts';
import { details, overview, past } from '../stats/tables.ts';
import { table } from '../table.ts';

interface Options {
  since?: string;
  watch?: boolean;
  sockets?: boolean;
  plot?: string;
  json?: boolean;
}
type History = Data<'history.query'>;
const EVERY_MS = 2000;
const AT_ONCE = 10;
/** Points of an answer for a table, and for a chart. */
const POINTS = { table: 52, chart: 600 };

async function newestText(
  client: Client,
): Promise<(names: string[], json: boolean, indent: number) => Promise<string>> {
  const newest = openNewest(client);
  return async (names, json, indent) => {
    const wanted = names.length > 0 ? names.map((subject) => ({ subject })) : [{}];
    const subjects = await newest(wanted);
    for (const name of names)
      if (!subjects.some((one) => one.name === name))
        throw new VsError(
          'not-found',
          `There is no host or vserver ${name}; "vs stats" shows those that there are.`,
        );
    if (json) return JSON.stringify(subjects, null, indent);
    if (names.length === 0) return overview(subjects) || 'The pool is empty.';
    return subjects.map((one) => details(one, Date.now())).join('\n\n');
  };
}

/** The names that were given, or all of the pool. */
async function namesOf(client: Client, given: string[]): Promise<string[]> {
  if (given.length > 0) return given;
  const all = await openNewest(client)([{ keys: ['ts'] }]);
  return [...new Set(all.map(({ name }) => name))];
}
async function historyOf(
  client: Client,
  given: string[],
  spanMs: number,
  points: number,
): Promise<History[]> {
  const until = Date.now();
  const step = Math.max(10, Math.ceil(spanMs / 1000 / points));
  const ask = async (subject: string) => {
    const args = { subject, since: until - spanMs, until, step };
    try {
      return [await client.request('master', 'history.query', args, { timeoutMs: 60_000 })];
    } catch (error) {
      // one that never ran has no history; who named it is told so
      if (given.length === 0 && error instanceof VsError && error.code === 'not-found') return [];
      throw error;
    }
  };
  const names = await namesOf(client, given);
  const found: History[] = [];
  for (let at = 0; at < names.length; at += AT_ONCE)
    found.push(...(await Promise.all(names.slice(at, at + AT_ONCE).map(ask))).flat());
  return found;
}

async function sockets(client: Client, name: string): Promise<string> {
  const { host } = await client.request('master', 'orchestrator.locate', { name });
  const found = await client.request(host, 'monitor.sockets', { name });
  const rows = found.sockets.map((one) => [
    one.family,
    one.port === undefined
      ? one.address || '-'
      : `${one.family.endsWith('6') ? `[${one.address}]` : one.address}:${one.port}`,
    one.process ?? '-',
    one.pid === undefined ? '-' : String(one.pid),
  ]);
  const more = found.more > 0 ? `\nand ${found.more} more` : '';
  return `${table(['KIND', 'LISTENS ON', 'PROCESS', 'PID ON HOST'], rows)}${more}`;
}

/** `vs stats`. */
export function register(program: Command): void {
  program
    .command('stats')
    .description('figures of hosts and vservers: the newest ones, or those of a time')
    .argument('[name...]', 'hosts and vservers; all of the pool unless named')
    .option('--since <span>', 'minimum, average and maximum of the last 30m, 24h, 7d, 1y, ...')
    .option('--watch', 'again and again, until q or ctrl-C')
    .option('--sockets', 'what listens in the vserver, and which process')
    .option('--plot <file>', 'a chart of the time (24h unless --since says another) as .svg or .png')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Examples:
  vs stats
  vs stats web1 --watch
  vs stats web1 --since 24h
  vs stats web1 db1 --since 7d --plot week.svg

Figures come every 10 s (METRICS_INTERVAL). Kept are points of 10 s for a day, of 1 min for a week, of 10 min for a year (docs/stats.md).
Rates (io, net) are per second. A figure that was 0 all the time stands below the table.`,
    )
    .action(async (names: string[], options: Options) => {
      for (const name of names) checkName(name, 'host or vserver');
      const span = options.since === undefined ? undefined : parseSpan(options.since);
      const { plot } = options;
      if (plot !== undefined && !/\.(svg|png)$/.test(plot))
        throw new VsError('usage', `--plot writes a file that ends in .svg or .png, not ${quoted(plot)}.`);
      if (options.sockets && names.length !== 1)
        throw new VsError('usage', '--sockets is of one vserver: vs stats web1 --sockets');
      await withClient(async (client) => {
        if (options.sockets) return console.log(await sockets(client, names[0] ?? ''));
        if (plot !== undefined) {
          const ms = span ?? 86_400_000;
          const { writeChart } = await import('../stats/plot.ts');
          return console.log(writeChart(plot, await historyOf(client, names, ms, POINTS.chart), ms));
        }
        const text = await newestText(client);
        const now = async () => {
          const indent = options.watch ? 0 : 2; // one object a line
          if (span === undefined) return text(names, options.json === true, indent);
          const found = await historyOf(client, names, span, POINTS.table);
          return options.json ? JSON.stringify(found, null, indent) : found.map(past).join('\n\n');
        };
        if (options.watch) await repeat(EVERY_MS, client.lost, now, options.json);
        else console.log(await now());
      });
    });
}
