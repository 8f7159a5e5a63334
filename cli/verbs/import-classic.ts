import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { confirm, needRoot } from '../ask.ts';

/** `vs import-classic DIR`: takes over the settings of a classic vs-tools, and tells how its vservers come. */
export function register(program: Command): void {
  program
    .command('import-classic')
    .description('take over the settings of a vs-tools of 2007 (on the master, as root)')
    .argument('<directory>', 'what holds the etc/ of the old machine: / or a copy of it')
    .option('--dry-run', 'show what becomes what, write nothing')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
It reads etc/vs-tools and etc/vservers there, and changes nothing of them. networks.conf, slaves.conf, backup.conf, create.conf,
firewall.conf and monitor.conf are judged, and written where this machine has none that says anything. The rules and the
monitoring of each vserver go to /etc/vs-tools/classic/NAME; for each vserver it prints the commands that make it one of today.
One fault in any file, and nothing is written.

Examples:
  vs import-classic /mnt/old-master --dry-run
  vs import-classic /mnt/old-master --yes`,
    )
    .action(async (directory: string, options: { dryRun?: boolean; yes?: boolean }) => {
      const { resolve } = await import('node:path');
      const { loadSettings } = await import('../../config/settings.ts');
      const { planImport } = await import('../classic-tree/plan.ts');
      const { CONFIG_DIR } = loadSettings();
      const plan = await planImport(resolve(directory), CONFIG_DIR);
      for (const line of plan.lines) console.log(line);
      if (plan.faults.length > 0)
        throw new VsError('usage', `nothing was written, for these faults:\n${plan.faults.join('\n')}`);
      if (plan.lines.length === 0) console.log('There is nothing to take over.');
      if (plan.writes.length > 0 && !options.dryRun) {
        needRoot('vs import-classic');
        if (!options.yes)
          await confirm(`Write ${plan.writes.length} files below ${CONFIG_DIR}?`, 'vs import-classic');
        const { writeFileDurable } = await import('../../shared/store.ts');
        const { mkdir } = await import('node:fs/promises');
        const { dirname } = await import('node:path');
        for (const { path, text } of plan.writes) {
          await mkdir(dirname(path), { recursive: true });
          await writeFileDurable(path, text, 0o644);
        }
        console.log(`Wrote ${plan.writes.length} files. Next: vs net apply gives the networks to the hosts.`);
      }
      for (const commands of plan.next) console.log(`\n${commands.join('\n')}`);
    });
}
