import { resolve } from 'node:path';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { printJson } from '../json.ts';
import { type AddOptions, add, down, told, up } from '../net/edit.ts';
import { findNetwork, listText, notes, showText } from '../net/shown.ts';
import { checkHost, checkName, quoted } from '../names.ts';

interface Json {
  json?: boolean;
}
const all = () => withClient((client) => client.request('master', 'networks.list', {}));

function lookVerbs(net: Command): void {
  net
    .command('list')
    .description('the networks, the hosts where each is up, and hosts that have not taken the newest version')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs net list\n  vs net list --json')
    .action(async (options: Json) => {
      const listed = await all();
      if (options.json) return printJson(listed);
      console.log(listText(listed));
      for (const line of notes(listed)) console.log(line);
    });
  net
    .command('show')
    .description('one network: its addresses, its hosts, its vservers')
    .argument('<network>', 'a name of networks.conf')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs net show blue')
    .action(async (name: string, options: Json) => {
      checkName(name, 'network');
      const one = findNetwork((await all()).networks, name);
      if (options.json) printJson(one);
      else console.log(showText(one));
    });
  net
    .command('check')
    .description(
      'who answers at an address (exit 1: somebody does), or whether a network is in order on every host and between them',
    )
    .argument('<what>', 'an address, or the name of a network')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs net check 10.60.10.5\n  vs net check fd60:10::5\n  vs net check blue',
    )
    .action(async (what: string, options: Json) => {
      const { checkSubject } = await import('../net/check.ts');
      await checkSubject(what, options.json === true);
    });
  net
    .command('map')
    .description('networks, hosts and vservers of the pool as a picture')
    .option('--svg <file>', 'into a file for browsers')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs net map\n  vs net map --svg pool.svg')
    .action(async (options: { svg?: string } & Json) => {
      const listed = await all();
      if (options.svg !== undefined) {
        const { mapSvg } = await import('../net/svg.ts');
        const { writeFile } = await import('node:fs/promises');
        await writeFile(resolve(options.svg), mapSvg(listed)).catch((error: Error) => {
          throw new VsError(
            'failed',
            `The map cannot be written into ${quoted(options.svg ?? '')}: ${error.message}.`,
          );
        });
        if (!options.json) return console.log(`The map is in ${options.svg}.`);
      }
      if (options.json) return printJson(listed);
      const { mapText } = await import('../net/map.ts');
      console.log(mapText(listed));
    });
}

function changeVerbs(net: Command): void {
  net
    .command('add')
    .description('write a network into networks.conf of the master, and give it to the hosts')
    .argument('<vlan>', '1 to 4094')
    .argument('<subnet>', 'such as 10.60.30.0/24; of IPv6 alone: such as fd60:30::/64')
    .argument('[gateway]', 'such as 10.60.30.1, or fd60:30::1')
    .option('--name <name>', 'else vlan and its number')
    .option('--net6 <prefix>', 'such as fd60:30::/64')
    .option('--gw6 <address>', 'such as fd60:30::1')
    .option(
      '--uplink <device>',
      'the device of the hosts; none: inside each host (else what slaves.conf says)',
    )
    .option('--untagged', 'the whole device is this network')
    .option('--mtu <bytes>', '1280 to 9216')
    .option('--nameserver <addresses>', 'by comma')
    .option('--domain <domain>', 'of its vservers')
    .option('--dry-run', 'only say what would change')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs net add 30 10.60.30.0/24 10.60.30.1 --name red --uplink eth1\n  vs net add 30 10.60.30.0/24 10.60.30.1 --name red --net6 fd60:30::/64 --gw6 fd60:30::1 --mtu 1496\n  vs net add 31 fd60:31::/64 fd60:31::1 --name six --uplink eth1',
    )
    .action((vlan: string, subnet: string, gateway: string | undefined, options: AddOptions) =>
      add(vlan, subnet, gateway, options),
    );
  net
    .command('remove')
    .description('take a network out of networks.conf and from the hosts; refused while a vserver uses it')
    .argument('<network>', 'a name of networks.conf')
    .option('--dry-run', 'only say what would change')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs net remove red')
    .action(async (name: string, options: { dryRun?: boolean } & Json) => {
      const network = checkName(name, 'network');
      const { dryRun } = options;
      const args = { network, ...(dryRun ? { dryRun } : {}) };
      told(await withClient((client) => client.request('master', 'networks.remove', args)), options);
    });
  net
    .command('apply')
    .description('check networks.conf and slaves.conf of the master, and give them to the hosts')
    .option('--dry-run', 'only say what would change')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs net apply --dry-run\n  vs net apply')
    .action(async (options: { dryRun?: boolean } & Json) => {
      const args = options.dryRun ? { dryRun: true } : {};
      told(await withClient((client) => client.request('master', 'networks.apply', args)), options);
    });
  for (const [verb, words, work] of [
    ['up', 'bring a network up on a host, before a vserver needs it', up],
    ['down', 'take a network down on a host; refused while vservers run there', down],
  ] as const)
    net
      .command(verb)
      .description(words)
      .argument('<network>', 'a name of networks.conf')
      .requiredOption('--host <host>', 'the host')
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n  vs net ${verb} blue --host host1`)
      .action((network: string, options: { host: string } & Json) =>
        work(checkName(network, 'network'), checkHost(options.host), options.json === true),
      );
}

/** `vs net list|show|check|map|add|remove|apply|up|down`. */
export function register(program: Command): void {
  const net = program
    .command('net')
    .description('the networks of the pool')
    .addHelpText('after', '\nExamples:\n  vs net list\n  vs net check blue');
  lookVerbs(net);
  changeVerbs(net);
}
