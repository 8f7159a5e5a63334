import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { confirm } from '../ask.ts';
import { type Client, withClient } from '../client.ts';
import { checkHost, checkId, checkName, parseAddress, quoted } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { size, table } from '../table.ts';

type Entry = Data<'orchestrator.trash'>['entries'][number];
const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** 3d, 12h, 30m, 2w as milliseconds. */
export function parseAge(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,5})([mhdw])$/.exec(text) ?? [];
  const one = UNITS[unit];
  if (one === undefined) throw new VsError('usage', `${quoted(text)} is no age: it is 30m, 12h, 3d or 2w.`);
  return Number(number) * one;
}

const DAY = 86_400_000;
const two = (value: number) => String(value).padStart(2, '0');
/** 26-11-26 05:12, short, so that the table fits. */
function short(ts: number): string {
  const date = new Date(ts);
  return `${two(date.getFullYear() % 100)}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
const left = (ms: number) =>
  ms > 2 * DAY ? `${Math.floor(ms / DAY)} days` : `${Math.max(0, Math.floor(ms / 3_600_000))} h`;
const bytesOf = (entries: Entry[]) => entries.reduce((sum, one) => sum + (one.bytes ?? 0), 0);

async function ask(client: Client, args: { host?: string; name?: string }): Promise<Entry[]> {
  const { entries, away } = await client.request('master', 'orchestrator.trash', args, { timeoutMs: 30_000 });
  for (const host of away) process.stderr.write(`${host} does not answer: its trash is not shown.\n`);
  return entries;
}

function lines(entries: Entry[]): string {
  const rows = entries.map((one) => [
    one.name,
    one.host,
    short(one.ts),
    one.why.slice(0, 20),
    one.bytes === undefined ? '-' : size(one.bytes),
    left(one.until - Date.now()),
    one.entry,
  ]);
  return table(['NAME', 'HOST', 'WHEN', 'WHY', 'SIZE', 'LEFT', 'ENTRY'], rows);
}

/** `vs trash list|restore|empty`. */
export function register(program: Command): void {
  const trash = program
    .command('trash')
    .description('what was removed, and the old copies of what was moved')
    .addHelpText(
      'after',
      '\nExamples:\n  vs trash list\n  vs trash restore web1 --start\n  vs trash empty --older 3d',
    );
  trash
    .command('list')
    .description('what lies in the trash of the hosts, the oldest first')
    .option('--host <host>', 'of this host')
    .option('--name <name>', 'of this vserver')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs trash list\n  vs trash list --host host1 --json')
    .action(async (options: { host?: string; name?: string; json?: boolean }) => {
      if (options.host !== undefined) checkHost(options.host);
      if (options.name !== undefined) checkName(options.name);
      const { json, ...args } = options;
      const entries = await withClient((client) => ask(client, args));
      if (json) console.log(JSON.stringify(entries, null, 2));
      else console.log(entries.length === 0 ? 'The trash is empty.' : lines(entries));
    });
  trash
    .command('restore')
    .description('bring a vserver back, on the host in whose trash it lies')
    .argument('<name>', 'its name when it was removed')
    .option('--host <host>', 'from the trash of this host')
    .option('--entry <id>', 'this entry of vs trash list (the newest copy unless told)')
    .option('--as <name>', 'under another name')
    .option('--address <address>', 'with another address, IPV4[,IPV6] or IPV6')
    .option('--start', 'start it')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
While it lives elsewhere in the pool, an old copy of it comes back as another vserver: --as NAME --address ADDRESS.

Examples:
  vs trash restore web1 --start
  vs trash restore web1 --as web1-old --address 10.60.10.9`,
    )
    .action(
      async (
        name: string,
        options: SagaOptions & {
          host?: string;
          entry?: string;
          as?: string;
          address?: string;
          start?: boolean;
        },
      ) => {
        checkName(name);
        if (options.host !== undefined) checkHost(options.host);
        if (options.entry !== undefined) checkId(options.entry);
        if (options.as !== undefined) checkName(options.as);
        const where = options.address === undefined ? {} : parseAddress(options.address);
        if ('prefix' in where) throw new VsError('usage', 'The prefix is that of the network; leave it out.');
        await withClient(async (client) => {
          const started = await client.request(
            'master',
            'orchestrator.restore',
            {
              name,
              ...where,
              ...(options.host ? { host: options.host } : {}),
              ...(options.entry ? { entry: options.entry } : {}),
              ...(options.as ? { as: options.as } : {}),
              ...(options.start ? { start: true } : {}),
              ...(options.dryRun ? { dryRun: true } : {}),
            },
            { timeoutMs: 60_000 },
          );
          await present(client, started, options);
        });
      },
    );
  trash
    .command('empty')
    .description('destroy what lies in the trash, for good')
    .argument('[name]', 'only what was called so')
    .option('--host <host>', 'on this host')
    .option('--entry <id>', 'only this entry')
    .option('--older <age>', 'only what came there before, such as 3d, 12h')
    .option('--yes', 'do not ask')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs trash empty web1\n  vs trash empty --host host1 --older 3d --yes',
    )
    .action(
      async (
        name: string | undefined,
        options: { host?: string; entry?: string; older?: string; yes?: boolean; json?: boolean },
      ) => {
        if (name !== undefined) checkName(name);
        if (options.host !== undefined) checkHost(options.host);
        if (options.entry !== undefined) checkId(options.entry);
        const before = options.older === undefined ? Infinity : Date.now() - parseAge(options.older);
        await withClient(async (client) => {
          const where = { ...(options.host ? { host: options.host } : {}), ...(name ? { name } : {}) };
          const entries = (await ask(client, where)).filter(
            (one) => one.ts < before && (options.entry === undefined || one.entry === options.entry),
          );
          if (entries.length === 0) {
            console.log(options.json ? '{"emptied":0,"freed":0}' : 'There is nothing to empty.');
            return;
          }
          if (!options.json) console.log(lines(entries));
          if (!options.yes) {
            const only = entries.filter((one) => one.only).length;
            const last = only > 0 ? ` For ${only} of them it may be the only copy.` : '';
            await confirm(
              `Destroy ${entries.length === 1 ? 'it' : `these ${entries.length}`} for good? That frees up to ${size(bytesOf(entries))}.${last}`,
              'vs trash empty',
            );
          }
          await destroy(client, entries, options.json === true);
        });
      },
    );
}

/** Exactly what was shown goes, and nothing that came since. */
async function destroy(client: Client, entries: Entry[], json: boolean): Promise<void> {
  let [emptied, freed] = [0, 0];
  for (const [host, some] of Map.groupBy(entries, (one) => one.host)) {
    for (let at = 0; at < some.length; at += 100) {
      const part = some.slice(at, at + 100).map(({ name, entry }) => ({ name, entry }));
      const said = await client.request(host, 'snapshot.empty', { entries: part }, { timeoutMs: 3_600_000 });
      emptied += said.emptied;
      freed += said.freed;
    }
  }
  if (json) console.log(JSON.stringify({ emptied, freed }));
  else {
    // on btrfs other trees may still have the same blocks
    const space = freed > 0 ? `; ${size(freed)} are free again` : '';
    console.log(`${emptied} of ${entries.length} destroyed${space}.`);
  }
}
