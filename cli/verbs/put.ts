import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { checkHost, checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

/** `vs put NAME HOST`. */
export function register(program: Command): void {
  program
    .command('put')
    .description("bring the master's copy of a vserver to a host: stopped and disabled")
    .argument('<name>', 'name of the vserver')
    .argument('<host>', 'the host it shall be on')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
It is refused while that vserver lives anywhere in the pool. If its host is dead:
vs recover. The copy on the master stays.

Examples:
  vs put web1 host2
  vs put web1 host2 --dry-run
  vs start web1`,
    )
    .action(async (name: string, host: string, options: SagaOptions) => {
      checkName(name);
      checkHost(host);
      await withClient(async (client) => {
        const started = await client.request(
          'master',
          'orchestrator.put',
          { name, host, ...(options.dryRun ? { dryRun: true } : {}) },
          { timeoutMs: 600_000 },
        );
        await present(client, started, options);
      });
    });
}
