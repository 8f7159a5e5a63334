import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import { confirm } from '../ask.ts';
import { type Client, withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { moment, size, table } from '../table.ts';
import { MASTER, checkAlone, pruneMaster } from './master.ts';

type Pruned = Data<'backup-scheduler.prune'>['vservers'];

/** What is kept by which rule, and what goes, the newest first. */
export function pruneText(vservers: Pruned, gone: string): string {
  const rows = vservers.flatMap(({ vserver, kept, removed }) =>
    [...kept, ...removed]
      .toSorted((a, b) => b.taken - a.taken)
      .map((one) => [
        vserver,
        one.id,
        moment(one.taken),
        one.repository,
        size(one.bytes),
        one.by.length > 0 ? `kept: ${one.by.join(', ')}` : gone,
      ]),
  );
  const notes = vservers.flatMap(({ vserver, skipped, faults = [] }) => [
    ...(skipped === undefined ? [] : [`${vserver}: nothing is removed now, for ${skipped}`]),
    ...faults.map((fault) => `${vserver}: ${fault}`),
  ]);
  return [
    rows.length > 0
      ? table(['VSERVER', 'ID', 'OF', 'REPOSITORY', 'SIZE', ''], rows)
      : 'There are no backups to look through.',
    ...notes,
  ].join('\n');
}
const countOf = (vservers: Pruned) => vservers.reduce((sum, one) => sum + one.removed.length, 0);

/** `vs backup prune`. */
export function registerPrune(backup: Command): void {
  backup
    .command('prune')
    .description(
      'remove the backups that no rule of backup.conf keeps, as happens after each backup by itself',
    )
    .argument(
      '[name...]',
      'of these vservers, also of those that are gone (all that live and have a line, unless named), or @master',
    )
    .option('--dry-run', 'only show what is kept by which rule, and what would go')
    .option('--yes', 'do not ask')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs backup prune --dry-run\n  vs backup prune web1\n  vs backup prune @master --yes\n  vs backup prune --yes --json',
    )
    .action(async (names: string[], options: { dryRun?: boolean; yes?: boolean; json?: boolean }) => {
      if (names.includes(MASTER)) {
        checkAlone(names, {}, []);
        return pruneMaster(options);
      }
      for (const name of names) checkName(name);
      const ask = (client: Client, dryRun: boolean) =>
        client.request(
          'master',
          'backup-scheduler.prune',
          { ...(names.length > 0 ? { names } : {}), dryRun },
          { timeoutMs: 24 * 3_600_000 },
        );
      await withClient(async (client) => {
        if (options.dryRun || !options.yes) {
          const plan = await ask(client, true);
          const count = countOf(plan.vservers);
          if (options.json && options.dryRun) return console.log(JSON.stringify(plan, null, 2));
          if (!options.json) console.log(pruneText(plan.vservers, 'would go'));
          if (options.dryRun) return console.log(`Nothing was removed (--dry-run); ${count} would be.`);
          if (count === 0 && !options.json) return console.log('Nothing is to be removed.');
          if (count > 0)
            await confirm(
              `Remove ${count === 1 ? 'this backup' : `these ${count} backups`} for good?`,
              'vs backup prune',
            );
        }
        const done = await ask(client, false);
        if (done.vservers.some((one) => one.faults || one.skipped !== undefined)) process.exitCode = 1;
        if (options.json) return console.log(JSON.stringify(done, null, 2));
        if (options.yes) console.log(pruneText(done.vservers, 'removed'));
        console.log(`${countOf(done.vservers)} backups were removed.`);
      });
    });
}
