import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  host?: string;
  yes?: boolean;
}

async function confirm(name: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new VsError(
      'usage',
      `vs remove asks before it removes ${name}, and here is no terminal: give --yes.`,
    );
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question(`Remove ${name}? It goes to the trash of its host. [y/N] `);
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new VsError('refused', `${name} was not removed.`);
}

/** `vs remove NAME`. */
export function register(program: Command): void {
  program
    .command('remove')
    .description('remove a stopped vserver; its files stay in the trash for a time')
    .argument('<name>', 'name of the vserver')
    .option('--host <host>', 'the copy on this host')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText('after', '\nExamples:\n  vs stop web1 && vs remove web1\n  vs remove web1 --yes')
    .action(async (name: string, options: Options) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      if (!options.yes && !options.dryRun) await confirm(name);
      await withClient(async (client) => {
        const started = await client.request('master', 'orchestrator.remove', {
          name,
          ...(options.host ? { host: options.host } : {}),
          ...(options.dryRun ? { dryRun: true } : {}),
        });
        await present(client, started, options);
      });
    });
}
