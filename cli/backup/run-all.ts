import type { BackupRun } from '../../shared/contract/backup-scheduler.ts';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost } from '../names.ts';
import { span } from '../table.ts';

export interface AllOptions {
  host?: string;
  follow?: boolean;
  json?: boolean;
  mode?: string;
  repository?: string;
  dryRun?: boolean;
}
const DAYS_MS = 7 * 86_400_000;

const lineOf = (one: BackupRun): string =>
  `  ${one.vserver.padEnd(20)} ${one.ok ? `done in ${span(one.ms ?? 0)}` : `failed: ${one.message ?? ''}`}`;

/** `vs backup run` without names: all of backup.conf, a few at a time, each as its line says. */
export async function runAll(options: AllOptions): Promise<void> {
  if (options.mode !== undefined || options.repository !== undefined)
    throw new VsError(
      'usage',
      'Without names all of backup.conf is backed up as it says; --mode and --repository need names.',
    );
  if (options.dryRun)
    throw new VsError(
      'usage',
      'For what is backed up when, see: vs backup schedule. For the plan of one: vs backup run NAME --dry-run.',
    );
  const host = options.host === undefined ? {} : { host: checkHost(options.host) };
  const follow = options.follow !== false;
  await withClient(async (client) => {
    const begun = performance.now();
    const seen = new Set<string>();
    const { asked, runs } = await client.request(
      'master',
      'backup-scheduler.run',
      { ...host, wait: follow },
      {
        timeoutMs: follow ? DAYS_MS : 60_000,
        onProgress(progress) {
          const one = progress as unknown as BackupRun;
          if (options.json || seen.has(one.vserver)) return;
          seen.add(one.vserver);
          console.log(lineOf(one));
        },
      },
    );
    if (runs.some((one) => !one.ok)) process.exitCode = 1;
    if (options.json) return console.log(JSON.stringify(runs, null, 2));
    if (!follow)
      return console.log(
        `${asked.length} vservers are backed up now, a few at a time; see them with: vs backup status --watch`,
      );
    for (const one of runs) if (!seen.has(one.vserver)) console.log(lineOf(one));
    const well = runs.filter((one) => one.ok).length;
    console.log(`${well} of ${asked.length} vservers were backed up in ${span(performance.now() - begun)}.`);
  });
}
