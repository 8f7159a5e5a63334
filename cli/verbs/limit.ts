import type { Command } from 'commander';
import type { LimitRow } from '../../shared/contract/limits.ts';
import { limitText } from '../../shared/limits.ts';
import { withClient } from '../client.ts';
import { addLimitFlags, limitChangesOf } from '../limits.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';
import { table } from '../table.ts';

interface Options {
  force?: boolean;
  host?: string;
  json?: boolean;
}

function rowOf({ resource, unit, used, limit, hits, kills, note }: LimitRow): string[] {
  return [
    resource,
    used === null ? '-' : limitText(unit, used),
    limit === null ? 'none' : limitText(unit, limit),
    `${hits ?? '-'}${kills ? ` (${kills} killed)` : ''}`,
    note ?? '',
  ];
}

/** `vs limit NAME`. */
export function register(program: Command): void {
  const command = program
    .command('limit')
    .description('shows what a vserver uses of its limits, or changes them at once and for good')
    .argument('<name>', 'name of the vserver');
  addLimitFlags(command)
    .option('--force', 'also below what is in use, or above what the host has')
    .option('--host <host>', 'on this host, without asking the master')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs limit web1\n  vs limit web1 --memory 512M --cpu 0.5\n  vs limit web1 --disk none --net-out 100mbit',
    )
    .action(async (name: string, options: Options) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const changes = limitChangesOf(options);
      const changing = Object.keys(changes).length > 0;
      const report = await withClient(async (client) =>
        client.request(
          await hostOf(client, name, options.host),
          'host-agent.limit',
          { name, ...(changing ? { changes } : {}), ...(options.force ? { force: true } : {}) },
          { timeoutMs: 600_000 }, // a disk that is counted for the first time takes a while
        ),
      );
      if (options.json) return console.log(JSON.stringify(report, null, 2));
      const rows = report.limits.map(rowOf);
      const headings = ['resource', 'used', 'limit', 'hits', rows.some((row) => row[4]) ? 'note' : ''];
      console.log(table(headings, rows));
    });
}
