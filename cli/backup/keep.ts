import type { Command } from 'commander';
import { confirm } from '../ask.ts';
import { withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { moment, size } from '../table.ts';
import { type Where, checkBackup, pick } from './words.ts';

/** `vs backup verify`, `remove`, `protect`, `unprotect`. */
export function registerKeep(backup: Command): void {
  backup
    .command('verify')
    .description('compare the content of a backup with its manifest; exits 1 when it is damaged')
    .argument('<name>', 'name of the vserver')
    .argument('[id]', 'of vs backup list; the newest unless told')
    .option('--repository <name>', 'in this repository')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs backup verify web1\n  vs backup verify web1 20261127T030000Z')
    .action(async (name: string, id: string | undefined, options: Where & { json?: boolean }) => {
      checkName(name);
      await withClient(async (client) => {
        const { repository, id: one } = await pick(client, name, id, options);
        const { backup: found, ...read } = await client.request(
          'master',
          'repository.verify',
          { repository, vserver: name, id: one },
          { timeoutMs: 24 * 3_600_000 },
        );
        const faults = found.faults ?? [];
        if (faults.length > 0) process.exitCode = 1;
        if (options.json) return console.log(JSON.stringify(found, null, 2));
        const said = `${name} ${one}: ${size(read.bytes)} in ${read.files} files`;
        const by = found['manifest'] === undefined ? 'checksums of restic' : 'manifest';
        console.log(faults.length === 0 ? `${said} agree with the ${by}.` : `${said} were compared:`);
        for (const fault of faults) console.log(`  ${fault}`);
      });
    });
  backup
    .command('remove')
    .description('destroy a backup for good')
    .argument('<name>', 'name of the vserver')
    .argument('<id>', 'of vs backup list')
    .option('--repository <name>', 'in this repository')
    .option('--yes', 'do not ask')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs backup remove web1 20261127T030000Z')
    .action(async (name: string, id: string, options: Where & { yes?: boolean; json?: boolean }) => {
      checkName(name);
      checkBackup(id);
      await withClient(async (client) => {
        const one = await pick(client, name, id, options);
        if (!options.yes)
          await confirm(
            `Destroy the backup of ${name} of ${moment(one.taken)} (${one.id} in ${one.repository}) for good?`,
            'vs backup remove',
          );
        const args = { repository: one.repository, vserver: name, id: one.id };
        const done = await client.request('master', 'repository.remove', args, { timeoutMs: 3_600_000 });
        console.log(options.json ? JSON.stringify(done) : `The backup ${one.id} of ${name} is gone.`);
      });
    });
  for (const [verb, on, text] of [
    ['protect', true, 'keep a backup, whatever the retention says'],
    ['unprotect', false, 'let the retention decide over a backup again'],
  ] as const)
    backup
      .command(verb)
      .description(text)
      .argument('<name>', 'name of the vserver')
      .argument('<id>', 'of vs backup list')
      .option('--repository <name>', 'in this repository')
      .option('--json', 'for programs')
      .addHelpText('after', `\nExamples:\n  vs backup ${verb} web1 20261127T030000Z`)
      .action(async (name: string, id: string, options: Where & { json?: boolean }) => {
        checkName(name);
        checkBackup(id);
        await withClient(async (client) => {
          const { repository } = await pick(client, name, id, options);
          const args = { repository, vserver: name, id, on };
          const done = await client.request('master', 'repository.protect', args);
          console.log(
            options.json
              ? JSON.stringify(done.backup, null, 2)
              : `The backup ${id} of ${name} is ${on ? 'kept until somebody removes it' : 'as others are'}.`,
          );
        });
      });
}
