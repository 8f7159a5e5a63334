import type { Command } from 'commander';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { scanRowOf } from '../../shared/scan-row.ts';
import { type Client, withClient } from '../client.ts';
import { checkHost, checkName } from '../names.ts';
import { table } from '../table.ts';

interface Options {
  host?: string;
  name?: string;
  watch?: boolean;
  json?: boolean;
}

/** The rows from retained topics: each host's status and each vserver's state. */
export function rowsOf(messages: Map<string, unknown>): ScanRow[] {
  const offline = new Set<string>();
  const rows: ScanRow[] = [];
  const none = { vserver: null, enabled: null, address: null, network: null, epoch: null };
  for (const [topic, payload] of messages) {
    if (!topic.endsWith('/status')) continue;
    const host = topic.split('/').at(-2) ?? '';
    if ((payload as { state?: string } | null)?.state !== 'offline') continue;
    offline.add(host);
    rows.push({ host, state: 'offline', ...none });
  }
  for (const [topic, payload] of messages) {
    if (!topic.endsWith('/state') || !payload) continue;
    const one = payload as VserverState;
    if (typeof one.host !== 'string' || typeof one.name !== 'string') continue; // of somebody else
    rows.push(scanRowOf(one, !offline.has(one.host)));
  }
  return rows.sort(
    (a, b) => a.host.localeCompare(b.host) || (a.vserver ?? '').localeCompare(b.vserver ?? ''),
  );
}

async function retainedRows(client: Client): Promise<ScanRow[]> {
  const messages = new Map<string, unknown>();
  const asked = Date.now();
  await client.subscribe(
    [client.topics.all.hostStatus, client.topics.all.vserverState],
    (topic, payload) => void messages.set(topic, payload),
  );
  const quiet = 300 + 3 * (Date.now() - asked); // over a slow link they take longer
  await new Promise((resolve) => setTimeout(resolve, quiet));
  return rowsOf(messages);
}

async function scan(client: Client, options: Options): Promise<ScanRow[]> {
  const wanted = (row: ScanRow) =>
    (!options.host || row.host === options.host) && (!options.name || row.vserver === options.name);
  try {
    const { rows } = await client.request(
      'master',
      'orchestrator.scan',
      { ...(options.host ? { host: options.host } : {}), ...(options.name ? { name: options.name } : {}) },
      { timeoutMs: 3000 }, // over a link that loses packets it may need two seconds
    );
    return rows;
  } catch (error) {
    if (!(error instanceof VsError) || error.code !== 'unavailable') throw error;
    const rows = await retainedRows(client); // throws when it is the broker that is away
    process.stderr.write('The master does not answer; this is what the hosts reported last.\n');
    return rows.filter(wanted);
  }
}

const mark = (value: boolean | null) => (value === null ? '-' : value ? 'yes' : 'no');

function render(rows: ScanRow[]): string {
  return table(
    ['HOST', 'VSERVER', 'STATE', 'ENABLED', 'ADDRESS', 'NETWORK', 'EPOCH'],
    rows.map((row) => [
      row.host,
      row.vserver ?? '-',
      row.state,
      mark(row.enabled),
      row.address ?? '-',
      row.network ?? '-',
      row.epoch === null ? '-' : row.epoch === 0 ? 'not owned' : String(row.epoch),
    ]),
  );
}

async function watch(client: Client, options: Options, show: (rows: ScanRow[]) => void): Promise<never> {
  const messages = new Map<string, unknown>();
  let timer: NodeJS.Timeout | undefined;
  await client.subscribe([client.topics.all.hostStatus, client.topics.all.vserverState], (topic, payload) => {
    messages.set(topic, payload);
    timer ??= setTimeout(() => {
      timer = undefined;
      show(
        rowsOf(messages).filter(
          (row) =>
            (!options.host || row.host === options.host) && (!options.name || row.vserver === options.name),
        ),
      );
    }, 200);
  });
  return client.lost;
}

/** `vs scan`. */
export function register(program: Command): void {
  program
    .command('scan')
    .description('every vserver of every host')
    .option('--host <host>', 'only this host')
    .option('--name <name>', 'only this vserver')
    .option('--watch', 'again at every change, until ctrl-C')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs scan\n  vs scan --host host1 --json\n  vs scan --watch')
    .action(async (options: Options) => {
      if (options.host !== undefined) checkHost(options.host);
      if (options.name !== undefined) checkName(options.name);
      const show = (rows: ScanRow[]) => {
        if (options.watch && !options.json && process.stdout.isTTY) process.stdout.write('\u001b[H\u001b[2J');
        console.log(options.json ? JSON.stringify(rows, null, options.watch ? 0 : 2) : render(rows));
      };
      await withClient(async (client) => {
        if (options.watch) await watch(client, options, show);
        else show(await scan(client, options));
      });
    });
}
