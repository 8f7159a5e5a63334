import type { Command } from 'commander';
import { registerKeep } from '../backup/keep.ts';
import { registerList } from '../backup/list.ts';
import { registerMount } from '../backup/mount.ts';
import { registerPrune } from '../backup/prune.ts';
import { registerRepositories } from '../backup/repositories.ts';
import { registerRestore } from '../backup/restore.ts';
import { registerRun } from '../backup/run.ts';
import { registerSchedule } from '../backup/schedule.ts';
import { registerStatus } from '../backup/status.ts';
import { registerTest } from '../backup/test.ts';

/** Who adds which subcommands, in the order of the help. */
const parts: ((backup: Command) => void)[] = [
  registerRun, // run
  registerList, // list show
  registerKeep, // verify remove protect unprotect
  registerRestore, // restore
  registerTest, // test
  registerMount, // mount umount
  registerStatus, // status
  registerSchedule, // schedule
  registerPrune, // prune
  registerRepositories, // repositories
];

/** `vs backup ...`. */
export function register(program: Command): void {
  const backup = program
    .command('backup')
    .description('backups of vservers: run, list, verify, restore')
    .addHelpText(
      'after',
      '\nExamples:\n  vs backup run web1\n  vs backup list web1\n  vs backup restore web1 --at 2026-11-27\n  vs backup restore web1 --path /etc/nginx --to /tmp/nginx',
    );
  for (const part of parts) part(backup);
}
