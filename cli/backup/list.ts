import { firstOf } from '../../shared/addresses.ts';
import type { Command } from 'commander';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import { withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { moment, size, table } from '../table.ts';
import { MASTER, checkAlone, listMaster } from './master.ts';
import { type Where, pick, repositoryOf } from './words.ts';

/** What is known of its content: "ok", "3 faults", "-". */
const checked = ({ verified, faults }: BackupRecord): string =>
  verified === undefined ? '-' : faults && faults.length > 0 ? `${faults.length} faults` : 'ok';

/** What its last test has found. */
function proofRows({ proof }: BackupRecord): string[][] {
  if (!proof) return [['proved', 'not yet']];
  const when = `${moment(proof.ts)} on ${proof.host}, after ${Math.round(proof.ms / 1000)} s`;
  return [
    ['proved', proof.ok ? when : `no: ${when}`],
    ...proof.checks.map((one) => ['', `${one.ok ? 'ok ' : 'BAD'} ${one.check}: ${one.message}`]),
  ];
}

const row = (one: BackupRecord): string[] => [
  one.vserver,
  one.id,
  one.repository,
  one.kind,
  size(one.bytes),
  one.addedBytes === undefined ? '-' : size(one.addedBytes),
  checked(one),
  one.protected ? 'protected' : '',
];

/** `vs backup list [NAME]`, `vs backup show NAME [ID]`. */
export function registerList(backup: Command): void {
  backup
    .command('list')
    .description('the backups, the newest first; those of vservers that are gone too')
    .argument('[name]', 'of this vserver; @master: the archives of the master itself')
    .option('--repository <name>', 'in this repository')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs backup list\n  vs backup list web1 --json\n  vs backup list @master',
    )
    .action(async (name: string | undefined, options: Where & { json?: boolean }) => {
      if (name === MASTER) {
        checkAlone([name], { ...options }, ['json']);
        return listMaster(options);
      }
      if (name !== undefined) checkName(name);
      const found = await withClient((client) =>
        client.request(
          'master',
          'repository.list',
          { ...(name ? { vserver: name } : {}), ...repositoryOf(options) },
          { timeoutMs: 60_000 },
        ),
      );
      for (const fault of found.faults) process.stderr.write(`${fault}\n`);
      if (found.leftOff)
        process.stderr.write(`${found.leftOff} older ones are not shown; name a vserver or a repository.\n`);
      if (options.json) return console.log(JSON.stringify(found.backups, null, 2));
      if (found.backups.length === 0) return console.log('There are no backups.');
      const headings = ['VSERVER', 'ID', 'REPOSITORY', 'HOW', 'SIZE', 'ADDED', 'CHECKED', ''];
      console.log(table(headings, found.backups.map(row)));
    });
  backup
    .command('show')
    .description('one backup in full')
    .argument('<name>', 'name of the vserver')
    .argument('[id]', 'of vs backup list; the newest unless told')
    .option('--repository <name>', 'in this repository')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs backup show web1\n  vs backup show web1 20261127T030000Z --json')
    .action(async (name: string, id: string | undefined, options: Where & { json?: boolean }) => {
      checkName(name);
      const one = await withClient((client) => pick(client, name, id, options));
      if (options.json) return console.log(JSON.stringify(one, null, 2));
      const rows = [
        ['vserver', `${one.vserver} (${one.uuid})`],
        ['backup', `${one.id} in ${one.repository}${one.protected ? ', protected' : ''}`],
        ['of', `${moment(one.taken)}, whole at ${moment(one.finished)}`],
        ['from', `${one.host}, ${one.mode}, ${one.kind}`],
        [
          'it was',
          `${one.running ? 'running' : 'stopped'}, ${one.enabled ? 'enabled' : 'disabled'}, ${firstOf(one)} in ${one.network}`,
        ],
        [
          'content',
          `${size(one.bytes)} in ${one.files} files${one.addedBytes === undefined ? '' : `, ${size(one.addedBytes)} more than before`}`,
        ],
        ['shares with', one.basis ?? '-'],
        ['checked', one.verified === undefined ? 'not yet' : `${moment(one.verified)}: ${checked(one)}`],
        ...(one.faults ?? []).map((fault) => ['', fault]),
        ...proofRows(one),
      ];
      for (const [what = '', text = ''] of rows) console.log(`${what.padEnd(12)}${text}`);
    });
}
