import type { Command } from 'commander';
import type { BackupPlan } from '../../shared/contract/backup-scheduler.ts';
import type { Data } from '../../shared/contract/commands.ts';
import { withClient } from '../client.ts';
import { checkName, secondsOf } from '../names.ts';
import { table } from '../table.ts';

type Schedule = Data<'backup-scheduler.schedule'>;

const keepText = (keep: BackupPlan['keep']): string =>
  Object.entries(keep)
    .map(([rule, count]) => `${count} ${rule}`)
    .join(', ') || 'all';

/** A moment on the clock of a time zone. */
const clockOf = (ts: number, timeZone: string): string =>
  new Date(ts).toLocaleString('sv-SE', { timeZone }).slice(0, 16);

/** The lines in force, and the next runs. */
export function scheduleText({ file, fault, lines, runs }: Schedule): string {
  const of = (line: number) => lines.find((one) => one.line === line);
  const plans = lines.map((one) => [
    one.name,
    one.mode,
    one.schedule ?? '-',
    one.test ?? '-',
    one.timezone,
    one.window ?? '-',
    one.repository ?? '-',
    one.mode === 'none' ? '-' : keepText(one.keep),
  ]);
  const next = runs.map(({ vserver, line, at }) => {
    const zone = of(line)?.timezone ?? 'UTC';
    return [vserver, at.map((ts) => clockOf(ts, zone)).join('  ') || 'only when somebody asks'];
  });
  return [
    ...(fault === undefined ? [] : [fault, 'The last backup.conf without a fault is in force:']),
    plans.length > 0
      ? table(['VSERVER', 'HOW', 'SCHEDULE', 'TEST', 'TIME ZONE', 'WINDOW', 'REPOSITORY', 'KEPT'], plans)
      : `${file} has no line.`,
    ...(next.length > 0 ? ['', table(['VSERVER', 'NEXT RUNS'], next)] : []),
  ].join('\n');
}

/** `vs backup schedule`. */
export function registerSchedule(backup: Command): void {
  backup
    .command('schedule')
    .description('the lines of backup.conf in force, and when the next backups come')
    .argument('[name...]', 'the runs of these vservers')
    .option('--next <n>', 'so many runs of each', '3')
    .option('--check', 'read backup.conf now; exit 1 when it has a fault')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs backup schedule\n  vs backup schedule web1 --next 10\n  vs backup schedule --check',
    )
    .action(async (names: string[], options: { next: string; check?: boolean; json?: boolean }) => {
      for (const name of names) checkName(name);
      const next = secondsOf(options.next, '--next', 0, 1000);
      const found = await withClient((client) =>
        client.request(
          'master',
          'backup-scheduler.schedule',
          { ...(names.length > 0 ? { names } : {}), next },
          { timeoutMs: 60_000 },
        ),
      );
      if (options.check && found.fault !== undefined) process.exitCode = 1;
      if (options.json) return console.log(JSON.stringify(found, null, 2));
      console.log(scheduleText(found));
      if (options.check && found.fault === undefined) console.log(`\n${found.file} has no fault.`);
    });
}
