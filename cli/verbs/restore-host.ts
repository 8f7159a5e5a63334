import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { checkHost } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { parallelOf } from './evacuate.ts';

/** `vs restore-host HOST`. */
export function register(program: Command): void {
  program
    .command('restore-host')
    .description('bring back what was evacuated from a host, and place new vservers there again')
    .argument('<host>', 'the host that was evacuated')
    .option('--parallel <number>', 'so many at a time, 1 to 16 (2 unless told)')
    .option('--dry-run', 'show what would come back, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
What was moved on or removed since is left where it is, and named.

Examples:
  vs restore-host host1 --dry-run
  vs restore-host host1`,
    )
    .action(async (host: string, options: SagaOptions & { parallel?: string }) => {
      checkHost(host);
      await withClient(async (client) => {
        const started = await client.request('master', 'orchestrator.restore-host', {
          host,
          ...parallelOf(options.parallel),
          ...(options.dryRun ? { dryRun: true } : {}),
        });
        await present(client, started, options);
      });
    });
}
