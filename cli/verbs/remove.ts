import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  host?: string;
  yes?: boolean;
  purge?: boolean;
}

/** Asks with what the plan says; without the trash the name must be typed. */
async function agree(name: string, title: string, purge: boolean): Promise<void> {
  process.stderr.write(`${title}\n`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const question = purge
    ? `It does not stay in the trash. Type its name to remove it for good: `
    : `Remove ${name}? It goes to the trash of its host. [y/N] `;
  const answer = (await lines.question(question)).trim();
  lines.close();
  if (purge ? answer !== name : !/^y(es)?$/i.test(answer))
    throw new VsError('refused', `${name} was not removed.`);
}

/** `vs remove NAME`. */
export function register(program: Command): void {
  program
    .command('remove')
    .description('remove a stopped vserver; its files stay in the trash for a time')
    .argument('<name>', 'name of the vserver')
    .option('--host <host>', 'the copy on this host')
    .option('--purge', 'do not keep it in the trash; asks for its name')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs stop web1 && vs remove web1\n  vs remove web1 --yes\n  vs remove web1 --dry-run\n  vs remove web1 --purge',
    )
    .action(async (name: string, options: Options) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const asks = !options.yes && !options.dryRun;
      if (asks && !process.stdin.isTTY)
        throw new VsError(
          'usage',
          `vs remove asks before it removes ${name}, and here is no terminal: give --yes.`,
        );
      await withClient(async (client) => {
        const ask = (dryRun: boolean) =>
          client.request(
            'master',
            'orchestrator.remove',
            {
              name,
              ...(options.host ? { host: options.host } : {}),
              ...(options.purge ? { purge: true } : {}),
              ...(dryRun ? { dryRun: true } : {}),
            },
            { timeoutMs: 600_000 },
          );
        if (asks) await agree(name, (await ask(true)).state.title, options.purge === true);
        const started = await ask(options.dryRun === true);
        await present(client, started, options);
      });
    });
}
