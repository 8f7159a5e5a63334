import type { Command } from 'commander';
import { register as registerLook } from '../snapshot/look.ts';
import { register as registerMake } from '../snapshot/make.ts';
import { register as registerPlan } from '../snapshot/plan.ts';

/** `vs snapshot create|list|show|remove|protect|unprotect|rollback|clone|diff|mount|umount|schedule`. */
export function register(program: Command): void {
  const snapshot = program
    .command('snapshot')
    .description('snapshots of vservers: make, list, compare, mount, go back to')
    .addHelpText(
      'after',
      `
A snapshot is made on the host of the vserver, where its storage can (btrfs), and lies on the same disk: it is no backup.

Examples:
  vs snapshot create web1 before-upgrade
  vs snapshot list web1
  vs snapshot rollback web1 before-upgrade
  vs snapshot schedule web1 hourly --keep 24`,
    );
  registerMake(snapshot);
  registerLook(snapshot);
  registerPlan(snapshot);
}
