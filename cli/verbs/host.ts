import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { checkHost } from '../names.ts';
import { moment, size, table } from '../table.ts';

const text = (value: unknown) => (typeof value === 'string' ? value : '-');
const day = (ts: number | undefined) => (ts === undefined ? '-' : new Date(ts).toISOString().slice(0, 10));

/** `90s`, `30m`, `1h`, `1d` in ms. */
function duration(words: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(words);
  const ms =
    Number(match?.[1]) * ({ s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? ''] ?? NaN);
  if (!(ms >= 1000 && ms <= 86_400_000))
    throw new VsError('usage', `"${words.slice(0, 40)}" is no time from 1s to 24h, such as 30m or 1h.`);
  return ms;
}

/** Hosts as the orchestrator sees them, and those that joined and were never seen. */
async function listed(client: Client) {
  const { hosts } = await client.request('master', 'orchestrator.hosts', {});
  // A pool with certificates of its own has no authority; the list is as good without.
  const joined = await client
    .request('master', 'authority.list', {})
    .catch(() => ({ hosts: [], tokens: [] }));
  const seen = hosts.map((one) => ({
    ...one,
    certificate: one['certificate'] ?? joined.hosts.find(({ host }) => host === one.host)?.certificate,
  }));
  const never = joined.hosts.filter(({ host }) => !hosts.some((one) => one.host === host));
  const unseen = never.map((one) => ({ ...one, state: 'never seen', vservers: 0, running: 0 }));
  return { hosts: [...seen, ...unseen].sort((a, b) => a.host.localeCompare(b.host)), tokens: joined.tokens };
}

function listVerb(host: Command): void {
  host
    .command('list')
    .description('the hosts with state, vservers, free space and the end of their certificate')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs host list\n  vs host list --json')
    .action(async (options: { json?: boolean }) => {
      const { hosts, tokens } = await withClient(listed);
      if (options.json) return console.log(JSON.stringify(hosts, null, 2));
      const rows = hosts.map((one: Record<string, unknown> & (typeof hosts)[number]) => {
        const storage = one['storage'] as { storage?: string; free?: number } | undefined;
        return [
          one.host,
          one.state === 'online' && one['evacuated'] ? 'evacuated' : one.state,
          `${one.running}/${one.vservers}`,
          text(one['address']),
          storage?.storage ?? '-',
          storage?.free === undefined ? '-' : size(storage.free),
          text(one['version']),
          day((one.certificate as { ends?: number } | undefined)?.ends),
        ];
      });
      const headings = ['HOST', 'STATE', 'RUNNING', 'ADDRESS', 'STORAGE', 'FREE', 'VERSION', 'CERTIFICATE'];
      console.log(table(headings, rows));
      for (const one of hosts as (Record<string, unknown> & { host: string })[]) {
        const mark = one['evacuated'] as { since: number; by: string } | undefined;
        if (mark)
          console.log(
            `${one.host} was evacuated on ${moment(mark.since)} by ${mark.by}; nothing new is placed\nthere until: vs restore-host ${one.host}`,
          );
      }
      for (const one of tokens.filter(({ used }) => !used))
        console.log(`${one.host} may join until ${new Date(one.ends).toISOString()}`);
    });
}

function memberVerbs(host: Command): void {
  host
    .command('token')
    .description('print the one line that makes a machine a host of this pool; it counts once')
    .argument('<name>', 'what the new host shall be called')
    .option('--ttl <time>', 'how long it counts, up to 24h', '1h')
    .option(
      '--again',
      'the host joined before and was installed anew: its old certificate ends when it joins',
    )
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs host token host3\n  vs host token host3 --ttl 15m\n  vs host token host1 --again',
    )
    .action(async (name: string, options: { ttl: string; again?: boolean; json?: boolean }) => {
      checkHost(name);
      const ttl = duration(options.ttl);
      const { again } = options;
      const made = await withClient((client) =>
        client.request('master', 'authority.token', { name, ttl, ...(again ? { again } : {}) }),
      );
      if (options.json) return console.log(JSON.stringify(made, null, 2));
      console.log(`vs join ${made.master} --token ${made.token}`);
      console.error(`Run this line as root on ${name}, until ${new Date(made.ends).toISOString()}.`);
    });
  host
    .command('renew')
    .description(
      'a new key and certificate for a host, now; by itself it comes when a third of its life is left',
    )
    .argument('<name>', 'the host')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs host renew host1')
    .action(async (name: string, options: { json?: boolean }) => {
      checkHost(name);
      const { certificate } = await withClient((client) =>
        client.request('master', 'authority.renew', { host: name }),
      );
      if (options.json) console.log(JSON.stringify(certificate, null, 2));
      else console.log(`${name} has a new certificate, good until ${day(certificate.ends)}.`);
    });
  host
    .command('remove')
    .description('take a host out of the pool: its certificate counts no more, its connections end')
    .argument('<name>', 'the host')
    .option('--yes', 'do not ask')
    .option('--force', 'also when vservers of it are known, which are then forgotten here')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nIts vservers go on as they are; on the host nothing is changed.\n\nExamples:\n  vs host remove host3',
    )
    .action(async (name: string, options: { yes?: boolean; force?: boolean; json?: boolean }) => {
      checkHost(name);
      if (!options.yes) {
        const { confirm } = await import('../ask.ts');
        await confirm(`Take ${name} out of the pool? Only a new join brings it back.`, 'vs host remove');
      }
      const { force } = options;
      const done = await withClient((client) =>
        client.request('master', 'authority.remove', { host: name, ...(force ? { force } : {}) }),
      );
      if (options.json) return console.log(JSON.stringify(done, null, 2));
      console.log(
        `${name} is no host of this pool any more; its certificate counts no more. Its line in slaves.conf, if it has one, is yours to remove.`,
      );
      if (done.vservers.length > 0)
        console.log(`Forgotten here, but still on its disk: ${done.vservers.join(', ')}.`);
    });
}

/** `vs host list, token, renew, remove`. */
export function register(program: Command): void {
  const host = program
    .command('host')
    .description('the hosts of the pool')
    .addHelpText('after', '\nExamples:\n  vs host list\n  vs host token host3');
  listVerb(host);
  memberVerbs(host);
}
