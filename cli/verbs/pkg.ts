import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import type { PackageAction, PackageInfo } from '../../shared/contract/packages.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { describeFailure } from '../exit.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, quoted } from '../names.ts';
import { table } from '../table.ts';

/** What can be asked, and what it is in a sentence. */
const actions: Record<PackageAction, string> = {
  list: 'what is installed',
  update: 'fetch the lists anew',
  upgrades: 'what could be upgraded, by the lists that are there',
  upgrade: 'upgrade all, or the named ones',
  install: 'install',
  remove: 'remove',
  search: 'search by a word',
  show: 'show a package in full',
  clean: 'remove what was downloaded',
};
interface Options {
  all?: boolean;
  host?: string;
  wait: string;
  json?: boolean;
}
interface Result {
  vserver: string;
  host: string;
  ok: boolean;
  data?: Data<'packages.run'>;
  error?: string;
}
/** So many vservers at once: each downloads and writes. */
const AT_ONCE = 4;

/** Splits `web1 web2 install nginx`: names before the first word that is an action, packages after it. */
export function splitWords(
  words: string[],
  all: boolean,
): { names: string[]; action: PackageAction; packages: string[] } {
  const at = words.findIndex((word, place) => word in actions && (all || place > 0));
  const action = words[at] as PackageAction | undefined;
  const known = Object.keys(actions).join(', ');
  if (action === undefined)
    throw new VsError('usage', `Say what to do, after the names: vs pkg web1 ACTION; there are ${known}.`);
  const names = words.slice(0, at);
  if (all && names.length > 0)
    throw new VsError(
      'usage',
      `Give names or --all, not both (${quoted(names[0] ?? '')} stands before ${action}).`,
    );
  return { names, action, packages: words.slice(at + 1) };
}

async function everything(client: Client, host?: string) {
  const { rows } = await client.request('master', 'orchestrator.scan', host ? { host } : {});
  return rows.flatMap((row) =>
    row.vserver && row.state === 'running' && (row.epoch ?? 0) > 0
      ? [{ name: row.vserver, host: row.host }]
      : [],
  );
}

const packageRows = (some: PackageInfo[]): string[][] =>
  some.map((one) => [
    one.package,
    one.version ?? '-',
    one.candidate === undefined
      ? (one.summary ?? '').slice(0, 60)
      : `${one.candidate}${one.security ? '  security' : ''}`,
  ]);

function print({ vserver, data }: Result, action: PackageAction, several: boolean): void {
  if (!data) return;
  if (several) console.log(`${vserver}:`);
  if (data.text !== undefined) console.log(data.text.trimEnd());
  if (!data.packages) return;
  if (data.packages.length === 0) return console.log(action === 'upgrades' ? 'nothing to upgrade' : 'none');
  const third = action === 'upgrades' ? 'NEW' : 'WHAT IT IS';
  console.log(table(['PACKAGE', 'VERSION', third], packageRows(data.packages)));
}

const changing = new Set<PackageAction>(['update', 'upgrade', 'install', 'remove', 'clean']);

/** What was done in each, for more than one. */
function summary(results: Result[], action: PackageAction): string {
  const rows = results.map(({ vserver, host, ok, data, error }) => [
    vserver,
    host,
    ok ? 'done' : 'FAILED',
    error ??
      (data?.changed ? `${data.changed} packages` : data?.packages ? `${data.packages.length} packages` : ''),
  ]);
  const failed = results.filter((one) => !one.ok).length;
  const end = failed === 0 ? 'done in all' : `failed in ${failed} of ${results.length}`;
  return `${table(['VSERVER', 'HOST', action.toUpperCase(), ''], rows)}\n${end}`;
}

async function pkg(words: string[], options: Options): Promise<void> {
  const { names, action, packages } = splitWords(words, options.all === true);
  for (const name of names) checkName(name);
  if (options.host !== undefined) checkHost(options.host);
  const seconds = Number(options.wait);
  if (!(seconds >= 0 && seconds <= 3600))
    throw new VsError('usage', `--wait is a number of seconds up to 3600, not ${quoted(options.wait)}.`);
  const given = new AbortController();
  process.once('SIGINT', () => given.abort());
  await withClient(async (client) => {
    const targets = options.all
      ? await everything(client, options.host)
      : names.map((name) => ({ name, host: options.host ?? '' }));
    const several = targets.length > 1;
    const results: Result[] = [];
    const left = targets.values();
    async function work(): Promise<void> {
      for (const { name, host: where } of left) {
        let host = where;
        try {
          host ||= await hostOf(client, name);
          const args = { name, action, wait: seconds * 1000, ...(packages.length > 0 ? { packages } : {}) };
          const data = await client.request(host, 'packages.run', args, {
            timeoutMs: 7_300_000,
            signal: given.signal,
            onProgress: ({ text }) => {
              if (typeof text === 'string' && !options.json)
                process.stderr.write(`${several ? `${name}: ` : ''}${text}\n`);
            },
          });
          results.push({ vserver: name, host, ok: true, data });
          if (!options.json && !changing.has(action))
            print({ vserver: name, host, ok: true, data }, action, several);
        } catch (error) {
          const { text, code } = describeFailure(error);
          process.stderr.write(`vs: ${name}: ${text}\n`);
          results.push({ vserver: name, host, ok: false, error: text });
          process.exitCode = Math.max(Number(process.exitCode ?? 0), targets.length === 1 ? code : 1);
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    results.sort((a, b) => a.vserver.localeCompare(b.vserver));
    if (options.json) console.log(JSON.stringify(results, null, 2));
    else if (several) console.log(summary(results, action));
    else if (changing.has(action) && results[0]?.ok) {
      const { vserver, data } = results[0];
      console.log(`${vserver}: ${action} done${data?.changed ? `, ${data.changed} packages` : ''}`);
    }
  });
}

/** `vs pkg NAME... ACTION [PACKAGE...]`. */
export function register(program: Command): void {
  const list = Object.entries(actions)
    .map(([action, what]) => `  ${action.padEnd(9)} ${what}`)
    .join('\n');
  program
    .command('pkg')
    .description('packages inside vservers that run: apt, dnf or apk')
    .argument('<word...>', 'names of vservers, then an action, then packages')
    .option('--all', 'in every vserver that runs (of --host, if given)')
    .option('--host <host>', 'on this host, without asking the master')
    .option('--wait <seconds>', 'how long another package manager may hold the lock', '600')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Actions:
${list}

While something is downloaded, an enabled firewall lets the vserver out to
PACKAGE_MIRRORS of its host (vs-tools.conf), and to nobody else.

Examples:
  vs pkg web1 upgrades
  vs pkg --all update
  vs pkg web1 web2 upgrade
  vs pkg web1 install nginx
  vs pkg --all --host host1 upgrades --json`,
    )
    .action(pkg);
}
