import { type Command, Option } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { MASTER, checkAlone, runMaster } from './master.ts';
import { type AllOptions, runAll } from './run-all.ts';
import { type Where, repositoryOf } from './words.ts';

/** `vs backup run NAME...`. */
export function registerRun(backup: Command): void {
  backup
    .command('run')
    .description('back vservers up now, one after the other, wherever they are')
    .argument(
      '[name...]',
      'names of vservers, or @master; none: all of backup.conf, a few at a time, each as its line says',
    )
    .addOption(
      new Option('--mode <mode>', 'hot: while it runs; cold: stopped for it, and started again').choices([
        'hot',
        'cold',
      ]),
    )
    .option('--repository <name>', 'where to (main unless told)')
    .option('--host <host>', 'without names: only those that are on this host')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state of each, for programs')
    .addHelpText(
      'after',
      `
Hot: from a snapshot where the host's storage makes some, else from the live
files in several passes. Cold: stopped, copied (from a snapshot where there is
one, so it starts again at once) and started. What a person has stopped is
backed up as it is, and stays stopped.
@master is the master's own state, as its line of backup.conf says.

Examples:
  vs backup run web1
  vs backup run                     all of backup.conf
  vs backup run --host host1
  vs backup run @master
  vs backup run web1 db1 --mode cold
  vs backup run web1 --repository usb --dry-run`,
    )
    .action(
      async (names: string[], options: SagaOptions & Where & AllOptions & { mode?: 'hot' | 'cold' }) => {
        if (names.length === 0) return runAll(options);
        if (names.includes(MASTER)) {
          checkAlone(names, { ...options, follow: options.follow === false ? false : undefined }, ['json']);
          return runMaster(options);
        }
        if (options.host !== undefined)
          throw new VsError('usage', 'Give names, or --host for all of backup.conf that are there.');
        for (const name of names) checkName(name);
        await withClient(async (client) => {
          let worst = 0;
          for (const name of names) {
            const started = await client.request(
              'master',
              'orchestrator.backup',
              {
                name,
                ...(options.mode ? { mode: options.mode } : {}),
                ...repositoryOf(options),
                ...(options.dryRun ? { dryRun: true } : {}),
              },
              { timeoutMs: 600_000 },
            );
            await present(client, started, options);
            worst = Math.max(worst, Number(process.exitCode ?? 0));
          }
          process.exitCode = worst;
        });
      },
    );
}
