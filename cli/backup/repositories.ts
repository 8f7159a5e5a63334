import type { Command } from 'commander';
import type { RepositoryInfo } from '../../shared/contract/repository.ts';
import { withClient } from '../client.ts';
import { moment, size, table } from '../table.ts';

const known = (bytes: number | undefined): string => (bytes === undefined ? '-' : size(bytes));
const row = (one: RepositoryInfo): string[] => [
  one.name,
  one.kind,
  one.host === undefined ? one.path : `${one.host}:${one.path}`,
  String(one.backups ?? '-'),
  known(one.used),
  known(one.free),
  one.last === undefined ? '-' : moment(one.last),
  one.fault === undefined ? 'ok' : 'cannot be used',
];

/** `vs backup repositories`. */
export function registerRepositories(backup: Command): void {
  backup
    .command('repositories')
    .description('where backups go: kind, place, space, last use; exits 1 when one cannot be used')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs backup repositories\n  vs backup repositories --json')
    .action(async (options: { json?: boolean }) => {
      const { repositories } = await withClient((client) =>
        client.request('master', 'repository.info', {}, { timeoutMs: 60_000 }),
      );
      if (repositories.some((one) => one.fault !== undefined)) process.exitCode = 1;
      if (options.json) return console.log(JSON.stringify(repositories, null, 2));
      const headings = ['NAME', 'KIND', 'WHERE', 'BACKUPS', 'USED', 'FREE', 'LAST', ''];
      console.log(table(headings, repositories.map(row)));
      for (const { name, fault } of repositories)
        if (fault !== undefined) process.stderr.write(`${name}: ${fault}\n`);
    });
}
