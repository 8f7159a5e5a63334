import type { Command } from 'commander';
import { VsError } from '../shared/errors.ts';
import { confirm, needRoot } from './ask.ts';
import { withClient } from './client.ts';
import { checkHost } from './names.ts';
import { type SagaOptions, present } from './sagas.ts';

interface Options extends SagaOptions {
  all?: boolean;
  package?: string[];
  oneWay?: boolean;
  yes?: boolean;
}
/** Each host is asked, and packages are read for their checksums (ms). */
const PLAN_MS = 600_000;

/** `vs master update-hosts`: the version of the master for its hosts, one after the other. */
export function registerUpdateHosts(master: Command): void {
  master
    .command('update-hosts')
    .description("bring hosts to the master's version of vs-tools, one after the other; vservers run on")
    .argument('[hosts...]', 'the hosts, in this order')
    .option('--all', 'every host of the pool')
    .option(
      '--package <file>',
      'the package of the new version, which is kept for the next time; again for that of the version before, to go back to, and for other processors',
      (file: string, before: string[] | undefined) => [...(before ?? []), file],
    )
    .option('--one-way', 'also hosts that could not go back by themselves')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show what would become of each host, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
Upgrade the master first. A host gets the package over TLS, installs it, and has to be
back with the new version and without new faults; else it goes back to the version before,
the hosts after it stay as they are, and the exit code is 1. Settings of hosts travel by
other ways (docs/upgrade.md). A host without systemd or the Debian package is refused.

Examples:
  vs master update-hosts --all --package vs-tools_0.2.0_amd64.deb --dry-run
  vs master update-hosts --all --package vs-tools_0.2.0_amd64.deb --package vs-tools_0.1.0_amd64.deb
  vs master update-hosts host2 host3`,
    )
    .action(async (hosts: string[], options: Options) => {
      if (hosts.length > 0 === (options.all === true))
        throw new VsError('usage', 'Name hosts, or give --all: vs master update-hosts host1.');
      for (const host of hosts) checkHost(host);
      needRoot('vs master update-hosts');
      const { loadSettings } = await import('../config/settings.ts');
      const { takePackage } = await import('../services/orchestrator/packages.ts');
      const { version } = await import('../shared/service.ts');
      const { resolve } = await import('node:path');
      // the services of the master do not see /tmp, and the file may be gone by the next time
      for (const file of options.package ?? [])
        await takePackage(loadSettings().PACKAGE_DIR, resolve(file), version());
      const which = hosts.length > 0 ? { hosts } : {};
      await withClient(async (client) => {
        if (!options.yes && !options.dryRun)
          await confirm(
            `Bring ${hosts.join(', ') || 'all hosts'} to vs-tools ${version()}, one after the other?`,
            'vs master update-hosts',
          );
        const started = await client.request(
          'master',
          'orchestrator.update-hosts',
          {
            ...which,
            ...(options.oneWay ? { oneWay: true } : {}),
            ...(options.dryRun ? { dryRun: true } : {}),
          },
          { timeoutMs: PLAN_MS },
        );
        await present(client, started, options);
      });
    });
}
