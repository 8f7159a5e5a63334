import type { Command } from 'commander';
import { confirm, needRoot } from '../ask.ts';

/** `vs master init`: makes this machine the master of a pool. */
export function register(program: Command): void {
  const master = program
    .command('master')
    .description('the master of a pool (on it, as root)')
    .addHelpText('after', '\nExamples:\n  vs master init');
  master
    .command('init')
    .description('make this machine the master: authority, certificate, users, vs-tools.conf; again is fine')
    .option(
      '--name <name...>',
      'a name or address by which hosts and people reach it, the first is for hosts',
    )
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  vs master init\n  vs master init --name master.example --yes')
    .action(async (options: { name?: string[]; yes?: boolean }) => {
      needRoot('vs master init');
      const { loadSettings } = await import('../../config/settings.ts');
      const { initMaster } = await import('../../services/authority/init.ts');
      const settings = loadSettings();
      if (!options.yes)
        await confirm(
          `Make this machine the master of a pool (authority and certificates in ${settings.STATE_DIR}, settings in ${settings.CONFIG_DIR})?`,
          'vs master init',
        );
      const done = await initMaster(settings, options.name ?? []);
      for (const line of done) console.log(line);
      console.log(`${done.length > 0 ? 'This machine is the master' : 'Nothing to do: this machine is the master already'}. Next:
  vs service broker                                          # the bus
  vs service orchestrator template authority history         # the master's services
  vs host token host1                                        # prints the line to run on the host host1
  vs user add anna --role operator                           # a person`);
    });
}
