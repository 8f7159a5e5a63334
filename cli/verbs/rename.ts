import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

/** `vs rename NAME NEWNAME`. */
export function register(program: Command): void {
  program
    .command('rename')
    .description('give a vserver another name, also in its host name and /etc/hosts')
    .argument('<name>', 'name of the vserver')
    .argument('<to>', 'its new name')
    .option('--restart', 'one that runs is stopped and started')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs stop web1 && vs rename web1 web3\n  vs rename web1 web3 --restart\n  vs rename web1 web3 --restart --dry-run',
    )
    .action(async (name: string, to: string, options: SagaOptions & { restart?: boolean }) => {
      checkName(name);
      checkName(to);
      await withClient(async (client) => {
        const started = await client.request('master', 'orchestrator.rename', {
          name,
          to,
          ...(options.restart ? { restart: true } : {}),
          ...(options.dryRun ? { dryRun: true } : {}),
        });
        await present(client, started, options);
      });
    });
}
