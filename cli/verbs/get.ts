import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { checkHost, checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

/** `vs get NAME`. */
export function register(program: Command): void {
  program
    .command('get')
    .description('copy a vserver to the master; the copy is disabled, and replaces the one before')
    .argument('<name>', 'name of the vserver')
    .option('--host <host>', 'what this host has of it')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
It goes on running meanwhile: the copy is taken from a snapshot where the host has
btrfs, else from the live files in two passes; what it prints says how.

Examples:
  vs get web1
  vs get web1 --host host1 --dry-run
  vs copies list`,
    )
    .action(async (name: string, options: SagaOptions & { host?: string }) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      await withClient(async (client) => {
        const started = await client.request(
          'master',
          'orchestrator.get',
          {
            name,
            ...(options.host ? { host: options.host } : {}),
            ...(options.dryRun ? { dryRun: true } : {}),
          },
          { timeoutMs: 600_000 },
        );
        await present(client, started, options);
      });
    });
}
