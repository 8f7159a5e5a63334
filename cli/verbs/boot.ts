import type { Command } from 'commander';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, secondsOf } from '../names.ts';
import { table } from '../table.ts';

interface Options {
  all?: boolean;
  host?: string;
  order?: string;
  delay?: string;
  stopTimeout?: string;
  enable?: boolean;
  disable?: boolean;
  json?: boolean;
}
const number = (text: string | undefined, option: string, least: number, most: number) =>
  text === undefined ? undefined : text === 'none' ? null : secondsOf(text, option, least, most);

/** What the flags change; undefined stays as it is, null is taken away. */
function changesOf({ order, delay, stopTimeout, enable, disable }: Options) {
  if (enable && disable) throw new VsError('usage', 'Give --enable or --disable, not both.');
  return {
    order: number(order, '--order', 0, 9999),
    delay: number(delay, '--delay', 0, 3600),
    stopTimeout: number(stopTimeout, '--stop-timeout', 1, 600),
    enabled: enable ? true : disable ? false : undefined,
  };
}

/** In the order in which each host starts them. */
function render(states: VserverState[]): string {
  const orderOf = (one: VserverState) => one.boot?.order ?? Number.MAX_SAFE_INTEGER;
  const sorted = states.toSorted(
    (a, b) => a.host.localeCompare(b.host) || orderOf(a) - orderOf(b) || a.name.localeCompare(b.name),
  );
  const seconds = (value: number | undefined) => (value === undefined ? '-' : `${value} s`);
  return table(
    ['HOST', 'VSERVER', 'AT BOOT', 'ORDER', 'DELAY', 'STOP WITHIN'],
    sorted.map(({ host, name, enabled, boot }) => [
      host,
      name,
      enabled ? 'starts' : '-',
      String(boot?.order ?? '-'),
      seconds(boot?.delay),
      seconds(boot?.stopTimeout),
    ]),
  );
}

async function ofAll(client: Client, host: string | undefined): Promise<VserverState[]> {
  const { rows } = await client.request('master', 'orchestrator.scan', {});
  const hosts = host === undefined ? [...new Set(rows.map((row) => (row.vserver ? row.host : '')))] : [host];
  const lists = hosts.filter(Boolean).map((one) => client.request(one, 'host-agent.list', {}));
  return (await Promise.all(lists)).flatMap(({ vservers }) => vservers.filter((one) => one.epoch > 0));
}

/** `vs boot [NAME...]`. */
export function register(program: Command): void {
  program
    .command('boot')
    .description('show or change when vservers start with their host, and stop with it')
    .argument('[name...]', 'names of vservers; all of them without one')
    .option('--order <number>', 'lower ones start first and stop last, those without one start last; none')
    .option('--delay <seconds>', 'so long after its start the next waits; none')
    .option(
      '--stop-timeout <seconds>',
      'how long it may take to stop in order; none: STOP_TIMEOUT of its host',
    )
    .option('--enable', 'start it at boot')
    .option('--disable', 'do not start it at boot')
    .option('--host <host>', 'on this host, without asking the master')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs boot\n  vs boot db1 --order 10 --delay 5 --stop-timeout 120 --enable\n  vs boot web1 web2 --order 20\n  vs boot web1 --order none',
    )
    .action(async (names: string[], options: Options) => {
      for (const name of names) checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const changes = changesOf(options);
      if (names.length === 0 && Object.values(changes).some((value) => value !== undefined))
        throw new VsError('usage', 'Name the vservers whose boot is to be changed.');
      const states = await withClient(async (client) => {
        if (names.length === 0) return ofAll(client, options.host);
        const asked = names.map(async (name) =>
          client.request(await hostOf(client, name, options.host), 'host-agent.boot', { name, ...changes }),
        );
        return Promise.all(asked);
      });
      if (!options.json) return console.log(render(states));
      const shown = states.map(({ host, name, enabled, boot = {} }) => ({ host, name, enabled, ...boot }));
      console.log(JSON.stringify(shown, null, 2));
    });
}
