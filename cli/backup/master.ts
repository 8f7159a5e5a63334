import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { confirm } from '../ask.ts';
import { type Client, withClient } from '../client.ts';
import { moment, size, table } from '../table.ts';

/** What the master's own state is called, as in backup.conf. */
export const MASTER = '@master';

/** Throws VsError 'usage' unless it is named alone, without what is meant for vservers. */
export function checkAlone(names: string[], options: Record<string, unknown>, known: string[]): void {
  if (names.length > 1) throw new VsError('usage', `Name ${MASTER} alone, and vservers for themselves.`);
  const [more] = Object.keys(options).filter((one) => options[one] !== undefined && !known.includes(one));
  if (more !== undefined)
    throw new VsError(
      'usage',
      `${MASTER} has no --${more}: where and how is said by its line of backup.conf.`,
    );
}

const ask = (client: Client, dryRun: boolean) =>
  client.request('master', 'backup-scheduler.master-prune', { dryRun }, { timeoutMs: 600_000 });

function archivesText({ kept, removed }: Data<'backup-scheduler.master-prune'>, gone: string): string {
  const rows = [...kept, ...removed]
    .toSorted((a, b) => b.taken - a.taken)
    .map((one) => [
      one.file,
      moment(one.taken),
      one.repository,
      size(one.bytes),
      one.by.length > 0 ? `kept: ${one.by.join(', ')}` : gone,
    ]);
  return rows.length === 0
    ? 'There are no archives of the master.'
    : table(['ARCHIVE', 'OF', 'REPOSITORY', 'SIZE', ''], rows);
}

/** `vs backup run @master`. */
export const runMaster = ({ json }: { json?: boolean }): Promise<void> =>
  withClient(async (client) => {
    const { archive } = await client.request(
      'master',
      'backup-scheduler.master-run',
      {},
      { timeoutMs: 2 * 3_600_000 },
    );
    if (json) return console.log(JSON.stringify(archive, null, 2));
    console.log(
      `The state of the master is kept as ${archive.file} in ${archive.repository}, ${size(archive.bytes)}. It holds the keys of the pool.`,
    );
  });

/** `vs backup list @master`. */
export const listMaster = ({ json }: { json?: boolean }): Promise<void> =>
  withClient(async (client) => {
    const found = await ask(client, true);
    const all = [...found.kept, ...found.removed].toSorted((a, b) => b.taken - a.taken);
    console.log(json ? JSON.stringify(all, null, 2) : archivesText(found, 'goes with the next one'));
  });

/** `vs backup prune @master`. */
export const pruneMaster = (options: { dryRun?: boolean; yes?: boolean; json?: boolean }): Promise<void> =>
  withClient(async (client) => {
    if (options.dryRun || !options.yes) {
      const plan = await ask(client, true);
      if (options.json && options.dryRun) return console.log(JSON.stringify(plan, null, 2));
      if (!options.json) console.log(archivesText(plan, 'would go'));
      if (options.dryRun)
        return console.log(`Nothing was removed (--dry-run); ${plan.removed.length} would be.`);
      if (plan.removed.length === 0 && !options.json) return console.log('Nothing is to be removed.');
      if (plan.removed.length > 0)
        await confirm(
          `Remove ${plan.removed.length} archives of the master for good?`,
          `vs backup prune ${MASTER}`,
        );
    }
    const done = await ask(client, false);
    if (options.json) return console.log(JSON.stringify(done, null, 2));
    if (options.yes) console.log(archivesText(done, 'removed'));
    console.log(`${done.removed.length} archives were removed.`);
  });
