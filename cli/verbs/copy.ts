import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { checkHost, checkName, parseAddress } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  address: string;
  address6?: string;
  host?: string;
  enable?: boolean;
  start?: boolean;
}

/** `vs copy NAME NEWNAME --address A`. */
export function register(program: Command): void {
  program
    .command('copy')
    .description('make a new vserver from another, running or not, which stays as it is')
    .argument('<name>', 'the vserver to copy')
    .argument('<to>', 'name of the new one')
    .requiredOption('--address <address>', 'IPV4[/PREFIX][,IPV6] or IPV6 of the new one')
    .option('--address6 <address>', 'its IPv6 address (from the network unless told)')
    .option('--host <host>', 'on this host (the one with most room unless told)')
    .option('--enable', 'start it at boot')
    .option('--start', 'start it now')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
The copy has its own MAC address, machine id and ssh host keys; limits, firewall.conf and monitor.conf are the same.
A running vserver is copied from a snapshot where its host has snapshots, elsewhere while it writes.

Examples:
  vs copy web1 web2 --address 10.60.10.6
  vs copy web1 web2 --address 10.60.10.6 --host host2 --start`,
    )
    .action(async (name: string, to: string, options: Options) => {
      checkName(name);
      checkName(to);
      const both = options.address6 === undefined ? '' : `,${options.address6}`;
      const where = parseAddress(`${options.address}${both}`);
      if (options.host !== undefined) checkHost(options.host);
      await withClient(async (client) => {
        const started = await client.request(
          'master',
          'orchestrator.copy',
          {
            name,
            to,
            ...where,
            ...(options.host ? { host: options.host } : {}),
            ...(options.enable ? { enable: true } : {}),
            ...(options.start ? { start: true } : {}),
            ...(options.dryRun ? { dryRun: true } : {}),
          },
          { timeoutMs: 120_000 },
        );
        await present(client, started, options);
      });
    });
}
