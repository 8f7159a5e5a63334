import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { confirm } from '../ask.ts';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, parseAddress } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { size } from '../table.ts';
import { checkSnapshot } from './names.ts';

interface Where {
  host?: string;
  json?: boolean;
}

/** What makes snapshots, removes them, and makes vservers of them. */
export function register(snapshot: Command): void {
  snapshot
    .command('create')
    .description('make a snapshot of a vserver as it is now, running or not')
    .argument('<name>', 'the vserver')
    .argument('[snapshot]', 'name of the snapshot (by time unless given)')
    .option('--note <text>', 'what it is for')
    .option('--host <host>', 'on this host, without asking the master')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
A vserver that runs is frozen while it is made, for milliseconds. Its own /etc/vs-tools/snapshot-pre and snapshot-post run
before and after, if it has them (executable files): when snapshot-pre fails, no snapshot is made.

Examples:
  vs snapshot create web1
  vs snapshot create web1 before-upgrade --note 'bookworm to trixie'`,
    )
    .action(async (name: string, given: string | undefined, options: Where & { note?: string }) => {
      checkName(name);
      if (given !== undefined) checkSnapshot(given);
      if (options.host !== undefined) checkHost(options.host);
      const made = await withClient(async (client) =>
        client.request(
          await hostOf(client, name, options.host),
          'snapshot.take',
          {
            name,
            ...(given === undefined ? {} : { snapshot: given }),
            ...(options.note ? { note: options.note } : {}),
          },
          { timeoutMs: 1_500_000 },
        ),
      );
      if (options.json) return console.log(JSON.stringify(made.snapshot, null, 2));
      const how =
        made.frozenMs === undefined ? 'it did not run' : `frozen for ${Math.ceil(made.frozenMs)} ms`;
      console.log(`${name}: snapshot ${made.snapshot?.snapshot ?? ''} is made (${how}).`);
    });
  snapshot
    .command('remove')
    .description('remove snapshots for good')
    .argument('<name>', 'the vserver')
    .argument('<snapshot...>', 'their names')
    .option('--yes', 'do not ask')
    .option('--host <host>', 'on this host, without asking the master')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs snapshot remove web1 before-upgrade\n  vs snapshot remove web1 one two --yes',
    )
    .action(async (name: string, given: string[], options: Where & { yes?: boolean }) => {
      checkName(name);
      for (const one of given) checkSnapshot(one);
      if (options.host !== undefined) checkHost(options.host);
      if (!options.yes) {
        const what = given.length === 1 ? `snapshot ${given[0]}` : `${given.length} snapshots`;
        await confirm(`Remove ${what} of ${name} for good?`, 'vs snapshot remove');
      }
      const { dropped, freed } = await withClient(async (client) =>
        client.request(
          await hostOf(client, name, options.host),
          'snapshot.drop',
          { name, snapshots: given },
          { timeoutMs: 3_600_000 },
        ),
      );
      if (options.json) return console.log(JSON.stringify({ dropped, freed }));
      const space = freed > 0 ? `; ${size(freed)} are free again` : '';
      console.log(
        `${name}: ${dropped === 1 ? '1 snapshot is' : `${dropped} snapshots are`} removed${space}.`,
      );
    });
  snapshot
    .command('rollback')
    .description('make a vserver again what it was in a snapshot')
    .argument('<name>', 'the vserver')
    .argument('<snapshot>', 'name of the snapshot')
    .option('--settings', 'limits, boot plan and domain of then, too')
    .option('--yes', 'do not ask')
    .option('--host <host>', 'on this host')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
Its files, firewall.conf and monitor.conf become those of the snapshot; name, address, limits and all else stay as they are.
What is there now is kept as a snapshot first. One that runs is stopped, and started again.

Examples:
  vs snapshot rollback web1 before-upgrade --dry-run
  vs snapshot rollback web1 before-upgrade`,
    )
    .action(
      async (
        name: string,
        given: string,
        options: SagaOptions & { settings?: boolean; yes?: boolean; host?: string },
      ) => {
        checkName(name);
        checkSnapshot(given);
        if (options.host !== undefined) checkHost(options.host);
        await withClient(async (client) => {
          if (!options.yes && !options.dryRun)
            await confirm(`Bring ${name} back to snapshot ${given}?`, 'vs snapshot rollback');
          const started = await client.request(
            'master',
            'orchestrator.rollback',
            {
              name,
              snapshot: given,
              ...(options.settings ? { settings: true } : {}),
              ...(options.host ? { host: options.host } : {}),
              ...(options.dryRun ? { dryRun: true } : {}),
            },
            { timeoutMs: 600_000 },
          );
          await present(client, started, options);
        });
      },
    );
  snapshot
    .command('clone')
    .description('make a new vserver from a snapshot')
    .argument('<name>', 'the vserver that has the snapshot')
    .argument('<snapshot>', 'name of the snapshot')
    .argument('<to>', 'name of the new vserver')
    .argument('<address>', 'IPV4[/PREFIX][,IPV6] of the new one')
    .option('--host <host>', 'on this host (that with most room unless told)')
    .option('--enable', 'start it at boot')
    .option('--start', 'start it now')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
Examples:
  vs snapshot clone web1 before-upgrade web2 10.60.10.6 --start
  vs snapshot clone web1 before-upgrade web2 10.60.10.6 --host host2`,
    )
    .action(
      async (
        name: string,
        given: string,
        to: string,
        address: string,
        options: SagaOptions & { host?: string; enable?: boolean; start?: boolean },
      ) => {
        checkName(name);
        checkSnapshot(given);
        checkName(to);
        const where = parseAddress(address);
        if (to === name) throw new VsError('usage', 'The new vserver needs a name of its own.');
        if (options.host !== undefined) checkHost(options.host);
        await withClient(async (client) => {
          const started = await client.request(
            'master',
            'orchestrator.copy',
            {
              name,
              snapshot: given,
              to,
              ...where,
              ...(options.host ? { host: options.host } : {}),
              ...(options.enable ? { enable: true } : {}),
              ...(options.start ? { start: true } : {}),
              ...(options.dryRun ? { dryRun: true } : {}),
            },
            { timeoutMs: 600_000 },
          );
          await present(client, started, options);
        });
      },
    );
}
