import type { Command } from 'commander';
import type { BackupState } from '../../shared/contract/backup-scheduler.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { type Client, withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { moment, size, table } from '../table.ts';

type Status = Data<'backup-scheduler.status'>;

interface Options {
  watch?: boolean;
  check?: boolean;
  json?: boolean;
}

const MINUTE = 60_000;
/** An age or a wait for people, in its two largest units at most: 3 d 4 h, 2 h 5 min, 12 min. */
export function roughly(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / MINUTE));
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function noteOf(one: BackupState): string {
  if (one.gone) return 'no such vserver in the pool; its backups are kept';
  if (one.state === 'failed') return one.lastError ?? '';
  if (one.state === 'running') return one.saga ?? '';
  if (one.testError !== undefined) return `not proved: ${one.testError}`;
  return one.waits ?? (one.faulty ? `${one.faulty} damaged: vs backup list ${one.vserver}` : '');
}

/** The table of vs backup status. `now` in epoch ms. */
export function statusText({ vservers, master, uncovered, faults }: Status, now: number): string {
  const own: BackupState[] = master ? [{ ...master, vserver: '@master' }] : [];
  const rows = [...vservers, ...own].map((one) => [
    one.vserver,
    one.state,
    one.lastSuccess === undefined ? '-' : roughly(now - one.lastSuccess),
    one.lastProof === undefined ? '-' : roughly(now - one.lastProof),
    one.schedule ?? '-',
    one.size === undefined ? '-' : size(one.size),
    String(one.count),
    one.nextRun === undefined ? '-' : one.nextRun <= now ? 'now' : moment(one.nextRun).slice(0, 16),
    noteOf(one),
  ]);
  const headings = ['VSERVER', 'STATE', 'AGE', 'PROVED', 'SCHEDULE', 'SIZE', 'COUNT', 'NEXT RUN', ''];
  return [
    rows.length > 0 ? table(headings, rows) : 'There are no backups, and backup.conf has no line.',
    ...(uncovered.length > 0
      ? [`Nothing backs up ${uncovered.join(', ')}: no line of backup.conf names them.`]
      : []),
    ...faults,
  ].join('\n');
}

/** Is everything as it should be? */
export const isWell = ({ vservers, master, uncovered, faults }: Status): boolean =>
  !['overdue', 'failed'].includes(master?.state ?? '') &&
  faults.length === 0 &&
  uncovered.length === 0 &&
  vservers.every(
    (one) => one.state !== 'overdue' && one.state !== 'failed' && !one.faulty && one.testError === undefined,
  );

/** Shows the states as they come; what is wrong elsewhere is that of the beginning. */
async function watch(
  client: Client,
  first: Status,
  names: string[],
  show: (found: Status) => void,
): Promise<never> {
  const states = new Map(first.vservers.map((one) => [one.vserver, one]));
  let timer: NodeJS.Timeout | undefined;
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      const vservers = [...states.values()].sort((a, b) => (a.vserver < b.vserver ? -1 : 1));
      show({ ...first, vservers });
    }, 300);
  };
  await client.subscribe([client.topics.backupState('+')], (topic, payload) => {
    const vserver = topic.split('/').at(-2) ?? '';
    if (names.length > 0 && !names.includes(vserver)) return;
    if (payload) states.set(vserver, payload as BackupState);
    else states.delete(vserver);
    soon();
  });
  const ages = setInterval(soon, MINUTE);
  return client.lost.finally(() => clearInterval(ages));
}

/** `vs backup status`. */
export function registerStatus(backup: Command): void {
  backup
    .command('status')
    .description(
      'how old the last backup of each vserver is, against its schedule, and when the next one comes',
    )
    .argument('[name...]', 'of these vservers')
    .option('--watch', 'again at every change, until ctrl-C')
    .option(
      '--check',
      'exit 1 when one is overdue, failed, damaged or not proved by its test, or a vserver has no line in backup.conf',
    )
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs backup status\n  vs backup status web1 --json\n  vs backup status --check && echo all is well\n  vs backup status --watch',
    )
    .action(async (names: string[], options: Options) => {
      for (const name of names) checkName(name);
      await withClient(async (client) => {
        const found = await client.request(
          'master',
          'backup-scheduler.status',
          names.length > 0 ? { names } : {},
          { timeoutMs: 120_000 },
        );
        const show = (now: Status) => {
          if (options.watch && !options.json && process.stdout.isTTY)
            process.stdout.write('\u001b[H\u001b[2J');
          console.log(
            options.json ? JSON.stringify(now, null, options.watch ? 0 : 2) : statusText(now, Date.now()),
          );
          if (options.check) process.exitCode = isWell(now) ? 0 : 1;
        };
        show(found);
        if (options.watch) await watch(client, found, names, show);
      });
    });
}
