import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, secondsOf } from '../names.ts';
import { everyText, parseEvery } from './names.ts';

const KEEP = 24;

/** `vs snapshot schedule`. */
export function register(snapshot: Command): void {
  snapshot
    .command('schedule')
    .description('how often snapshots are made by themselves: show or change')
    .argument('<name>', 'the vserver')
    .argument('[every]', 'hourly, daily, weekly, off, or a time such as 15m, 6h, 2d')
    .option('--keep <number>', `so many of them stay, 1 to 1000 (${KEEP} unless told)`)
    .option('--host <host>', 'on this host, without asking the master')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Its host makes them, also without the master, while it runs. They are called auto- with the time in UTC. When the disk of the
host fills they go first, the oldest before the others; those that people make, or protect, never go by themselves.

Examples:
  vs snapshot schedule web1 hourly --keep 24
  vs snapshot schedule web1 off`,
    )
    .action(
      async (
        name: string,
        every: string | undefined,
        options: { keep?: string; host?: string; json?: boolean },
      ) => {
        checkName(name);
        if (options.host !== undefined) checkHost(options.host);
        const keep = options.keep === undefined ? KEEP : secondsOf(options.keep, '--keep', 1, 1000);
        if (options.keep !== undefined && (every === undefined || every === 'off'))
          throw new VsError('usage', 'Say how often, too: vs snapshot schedule NAME hourly --keep 24.');
        const plan =
          every === undefined ? undefined : every === 'off' ? null : { every: parseEvery(every), keep };
        const now = await withClient(async (client) => {
          const host = await hostOf(client, name, options.host);
          if (plan !== undefined) await client.request(host, 'host-agent.snapshot-plan', { name, plan });
          return (await client.request(host, 'host-agent.show', { name })).config.snapshotPlan ?? null;
        });
        if (options.json) return console.log(JSON.stringify(now));
        console.log(
          now
            ? `${name}: a snapshot ${everyText(now.every)}, the newest ${now.keep} of them stay.`
            : `${name}: no snapshots are made by themselves.`,
        );
      },
    );
}
