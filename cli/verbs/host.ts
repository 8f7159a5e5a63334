import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { size, table } from '../table.ts';

const text = (value: unknown) => (typeof value === 'string' ? value : '-');

/** `vs host list`. */
export function register(program: Command): void {
  const host = program
    .command('host')
    .description('the hosts of the pool')
    .addHelpText('after', '\nExamples:\n  vs host list');
  host
    .command('list')
    .description('the hosts with state, vservers and free space')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs host list\n  vs host list --json')
    .action(async (options: { json?: boolean }) => {
      const { hosts } = await withClient((client) => client.request('master', 'orchestrator.hosts', {}));
      if (options.json) return console.log(JSON.stringify(hosts, null, 2));
      const rows = hosts.map((one) => {
        const storage = one['storage'] as { storage?: string; free?: number } | undefined;
        return [
          one.host,
          one.state,
          `${one.running}/${one.vservers}`,
          text(one['address']),
          storage?.storage ?? '-',
          storage?.free === undefined ? '-' : size(storage.free),
          text(one['version']),
        ];
      });
      console.log(table(['HOST', 'STATE', 'RUNNING', 'ADDRESS', 'STORAGE', 'FREE', 'VERSION'], rows));
    });
}
