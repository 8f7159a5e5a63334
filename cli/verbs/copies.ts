import { firstOf } from '../../shared/addresses.ts';
import type { Command } from 'commander';
import { confirm } from '../ask.ts';
import { withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { moment, size, table } from '../table.ts';

/** `vs copies list|remove`. */
export function register(program: Command): void {
  const copies = program
    .command('copies')
    .description('the copies of vservers that the master keeps (vs get)')
    .addHelpText('after', '\nExamples:\n  vs copies list\n  vs copies remove web1');
  copies
    .command('list')
    .description('the copies: of when, from which host, how they were taken')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs copies list\n  vs copies list --json')
    .action(async (options: { json?: boolean }) => {
      const found = await withClient((client) => client.request('master', 'orchestrator.copies', {}));
      if (options.json) return console.log(JSON.stringify(found.copies, null, 2));
      const rows = found.copies.map((one) => [
        one.name,
        one.host,
        moment(one.taken),
        one.kind,
        size(one.bytes),
        firstOf(one),
      ]);
      console.log(table(['VSERVER', 'FROM', 'TAKEN', 'HOW', 'SIZE', 'ADDRESS'], rows));
    });
  copies
    .command('remove')
    .description("put the master's copy of a vserver into the trash of the copies")
    .argument('<name>', 'name of the vserver')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText('after', '\nExamples:\n  vs copies remove web1\n  vs copies remove web1 --yes')
    .action(async (name: string, options: SagaOptions & { yes?: boolean }) => {
      checkName(name);
      if (!options.yes && !options.dryRun)
        await confirm(`Remove the master's copy of ${name}?`, 'vs copies remove');
      await withClient(async (client) => {
        const started = await client.request('master', 'orchestrator.forget', {
          name,
          ...(options.dryRun ? { dryRun: true } : {}),
        });
        await present(client, started, options);
      });
    });
}
