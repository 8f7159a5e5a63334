import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, checkName, parseAddress } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  host?: string;
  enable?: boolean;
  start?: boolean;
}

/** `vs create NAME ADDRESS SOURCE`. */
export function register(program: Command): void {
  program
    .command('create')
    .description('create a vserver')
    .argument('<name>', 'its name')
    .argument('<address>', 'IPV4[/PREFIX][,IPV6]; its network is found by the address')
    .argument('<source>', 'busybox, a template, a suite such as bookworm, or a tarball on the master')
    .option('--host <host>', 'on this host (the one with most room unless told)')
    .option('--enable', 'start it at boot')
    .option('--start', 'start it now')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs create web1 10.60.10.5 bookworm\n  vs create web2 10.60.10.6/24,fd60:10::6 busybox --host host1 --enable --start',
    )
    .action(async (name: string, address: string, source: string, options: Options) => {
      checkName(name);
      const where = parseAddress(address);
      if (options.host !== undefined) checkHost(options.host);
      if (!source)
        throw new VsError('usage', 'The source is empty; give busybox, a template, a suite or a tarball.');
      await withClient(async (client) => {
        const started = await client.request(
          'master',
          'orchestrator.create',
          {
            name,
            ...where,
            source,
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
