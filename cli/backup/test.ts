import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, checkName, secondsOf } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { type Where, checkBackup, parseMoment, repositoryOf } from './words.ts';

interface Options extends SagaOptions, Where {
  at?: string;
  id?: string;
  host?: string;
  patience?: string;
}

/** `vs backup test NAME`. */
export function registerTest(backup: Command): void {
  backup
    .command('test')
    .description(
      'prove a backup: restore it where no network is, start it, run its checks, and remove it; exits 1 when it is not proved',
    )
    .argument('<name>', 'name of the vserver when it was backed up')
    .option('--at <time>', 'as it was at this moment at the latest, such as 2026-11-27 or "2026-11-27 03:00"')
    .option('--id <id>', 'this backup of vs backup list (the newest good one unless told)')
    .option('--repository <name>', 'from this repository')
    .option('--host <host>', 'on this host (one with room unless told)')
    .option('--patience <seconds>', 'so long it may take to be up and well', '180')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
It gets the addresses it had, on a wire that is plugged into nothing: the vserver itself may
run meanwhile. Looked at are its init, its addresses, and the daemons and thresholds of its
monitor.conf. What was found stands in the record: vs backup show. By itself each week: the
option test=weekly of backup.conf.

Examples:
  vs backup test web1
  vs backup test web1 --at 2026-11-27 --host host2
  vs backup test web1 --id 20261127T030000Z --json`,
    )
    .action(async (name: string, options: Options) => {
      checkName(name);
      if (options.at !== undefined && options.id !== undefined)
        throw new VsError('usage', 'Give --at or --id, not both.');
      const args = {
        name,
        ...(options.id === undefined ? {} : { id: checkBackup(options.id) }),
        ...(options.at === undefined ? {} : { at: parseMoment(options.at) }),
        ...repositoryOf(options),
        ...(options.host === undefined ? {} : { host: checkHost(options.host) }),
        patience: secondsOf(options.patience ?? '180', '--patience', 1, 3600) * 1000,
        ...(options.dryRun ? { dryRun: true } : {}),
      };
      await withClient(async (client) => {
        const begun = await client.request('master', 'orchestrator.backup-test', args, {
          timeoutMs: 600_000,
        });
        await present(client, begun, options);
      });
    });
}
