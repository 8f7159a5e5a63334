import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { addLimitFlags, limitChangesOf } from '../limits.ts';
import { checkHost, checkName, parseAddress } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  host?: string;
  enable?: boolean;
  start?: boolean;
  domain?: string;
  nameserver?: string;
}

/** `vs create NAME ADDRESS SOURCE`. */
export function register(program: Command): void {
  const create = program
    .command('create')
    .description('create a vserver')
    .argument('<name>', 'its name')
    .argument('<address>', 'IPV4[/PREFIX][,IPV6]; its network is found by the address')
    .argument(
      '[source]',
      "busybox, a template, a suite such as bookworm, a tarball on the master, or clone:NAME (create.conf's TEMPLATE unless told)",
    )
    .option('--host <host>', 'on this host (the one with most room unless told)')
    .option('--domain <domain>', "its domain (the network's unless told)")
    .option('--nameserver <addresses>', "its resolvers (the network's unless told)")
    .option('--enable', 'start it at boot')
    .option('--start', 'start it now')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs');
  addLimitFlags(create)
    .addHelpText(
      'after',
      '\nExamples:\n  vs create web1 10.60.10.5 bookworm\n  vs create web2 10.60.10.6/24,fd60:10::6 busybox --host host1 --enable --start\n  vs create web3 10.60.10.7 clone:web1 --memory 512M --cpu 0.5',
    )
    .action(async (name: string, address: string, source: string | undefined, options: Options) => {
      checkName(name);
      const where = parseAddress(address);
      if (options.host !== undefined) checkHost(options.host);
      if (source === '')
        throw new VsError('usage', 'The source is empty; give busybox, a template, a suite or a tarball.');
      const limits = limitChangesOf(options);
      await withClient(async (client) => {
        const started = await client.request(
          'master',
          'orchestrator.create',
          {
            name,
            ...where,
            ...(source === undefined ? {} : { source }),
            ...(Object.keys(limits).length > 0 ? { limits } : {}),
            ...(options.domain === undefined ? {} : { domain: options.domain }),
            ...(options.nameserver === undefined ? {} : { nameserver: options.nameserver }),
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
