import { isIP } from 'node:net';
import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { interfacesOf } from '../../shared/interfaces.ts';
import { type Client, withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, parseAddress, quoted } from '../names.ts';
import { table } from '../table.ts';

interface Options {
  host?: string;
  json?: boolean;
}

/** A row for each address: where it stands inside. */
function rowsOf(config: VserverConfig) {
  return interfacesOf(config).flatMap(({ device, network, mac, addresses, addresses6 }) =>
    [...addresses, ...addresses6].map(({ address, prefix }) => ({ device, address, prefix, network, mac })),
  );
}

const configOf = async (client: Client, host: string, name: string): Promise<VserverConfig> =>
  (await client.request(host, 'host-agent.show', { name })).config;

function present(config: VserverConfig, later: string[], { json }: Options): void {
  const rows = rowsOf(config);
  if (json) return console.log(JSON.stringify(rows, null, 2));
  console.log(
    table(
      ['INTERFACE', 'ADDRESS', 'NETWORK', 'MAC'],
      rows.map((row) => [row.device, `${row.address}/${row.prefix}`, row.network, row.mac]),
    ),
  );
  if (later.length > 0)
    console.log(
      `${later.join(', ')} ${later.length > 1 ? 'come' : 'comes'} with the next start of ${config.name}: vs restart ${config.name}`,
    );
}

async function change(
  name: string,
  what: { add: ReturnType<typeof parseAddress> } | { remove: string },
  options: Options,
): Promise<void> {
  checkName(name);
  if (options.host !== undefined) checkHost(options.host);
  await withClient(async (client) => {
    const { state, later }: Data<'host-agent.address'> =
      options.host === undefined
        ? await client.request('master', 'orchestrator.address', { name, ...what }, { timeoutMs: 60_000 })
        : await client.request(options.host, 'host-agent.address', { name, ...what }, { timeoutMs: 60_000 });
    present(await configOf(client, state.host, name), later, options);
  });
}

/** `vs address list|add|remove`. */
export function register(program: Command): void {
  const command = program
    .command('address')
    .description('the addresses of a vserver: more than one, and in more than one network')
    .addHelpText('after', '\nExamples:\n  vs address list web1\n  vs address add web1 10.60.20.5');
  const verb = (text: string, does: string, example: string) =>
    command
      .command(text)
      .description(does)
      .argument('<name>', 'name of the vserver')
      .option('--host <host>', 'on this host, without asking the master')
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n${example}`);
  verb('list', 'its interfaces and addresses', '  vs address list web1').action(
    async (name: string, options: Options) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const config = await withClient(async (client) =>
        configOf(client, await hostOf(client, name, options.host), name),
      );
      present(config, [], options);
    },
  );
  verb(
    'add',
    'one more address: at once in a network that it is in, else on a new interface at its next start',
    '  vs address add web1 10.60.10.15\n  vs address add web1 10.60.20.5/24,fd60:20::5\n  vs address add web1 fd60:10::15',
  )
    .argument('<address>', 'IPV4[/PREFIX][,IPV6] or IPV6; its network is found by the address')
    .action((name: string, address: string, options: Options) =>
      change(name, { add: parseAddress(address) }, options),
    );
  verb('remove', 'take an address away; the first one stays', '  vs address remove web1 10.60.10.15')
    .argument('<address>', 'one of its further addresses')
    .action((name: string, address: string, options: Options) => {
      if (isIP(address) === 0) throw new VsError('usage', `${quoted(address)} is no address.`);
      return change(name, { remove: address }, options);
    });
}
