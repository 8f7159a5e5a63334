import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { describeFailure } from '../exit.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';

const summaries = {
  start: 'start vservers on the hosts that own them',
  stop: 'stop vservers in order, by force after a time',
  restart: 'stop and start vservers',
  enable: 'start vservers at boot',
  disable: 'do not start vservers at boot',
};
type Verb = keyof typeof summaries;
interface Options {
  all?: boolean;
  host?: string;
  json?: boolean;
}

async function everything(client: Client, host?: string): Promise<{ name: string; host: string }[]> {
  const { rows } = await client.request('master', 'orchestrator.scan', host ? { host } : {});
  return rows.flatMap((row) =>
    row.vserver && row.state !== 'unknown' && (row.epoch ?? 0) > 0
      ? [{ name: row.vserver, host: row.host }]
      : [],
  );
}

async function each(verb: Verb, names: string[], options: Options): Promise<void> {
  for (const name of names) checkName(name);
  if (options.host !== undefined) checkHost(options.host);
  if (names.length === 0 && !options.all)
    throw new VsError('usage', `Name the vservers to ${verb}, or give --all.`);
  if (names.length > 0 && options.all) throw new VsError('usage', 'Give names or --all, not both.');
  await withClient(async (client) => {
    const targets = options.all
      ? await everything(client, options.host)
      : names.map((name) => ({ name, host: options.host }));
    let worst = 0;
    const states: object[] = [];
    await Promise.all(
      targets.map(async ({ name, host: given }) => {
        try {
          const host = await hostOf(client, name, given);
          const state = await client.request(host, `host-agent.${verb}`, { name }, { timeoutMs: 180_000 });
          states.push(state);
          if (options.json) return;
          const start = state.enabled ? 'enabled' : 'disabled';
          console.log(`${name} on ${host}: ${verb.endsWith('able') ? start : state.state}`);
        } catch (error) {
          const { text, code } = describeFailure(error);
          process.stderr.write(`vs: ${name}: ${text}\n`); // told on stderr also with --json
          worst = Math.max(worst, code);
        }
      }),
    );
    if (options.json) console.log(JSON.stringify(states, null, 2));
    process.exitCode = worst;
  });
}

/** `vs start|stop|restart|enable|disable`. */
export function register(program: Command): void {
  for (const verb of Object.keys(summaries) as Verb[]) {
    program
      .command(verb)
      .description(summaries[verb])
      .argument('[name...]', 'names of vservers')
      .option('--all', 'every vserver (of --host, if given)')
      .option('--host <host>', 'on this host, without asking the master')
      .option('--json', 'their states, for programs')
      .addHelpText('after', `\nExamples:\n  vs ${verb} web1 web2\n  vs ${verb} --all --host host1`)
      .action((names: string[], options: Options) => each(verb, names, options));
  }
}
