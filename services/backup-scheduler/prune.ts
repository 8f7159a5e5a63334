import { type BackupLine, lineOf } from '../../config/backup.ts';
import type { KeptBackup } from '../../shared/contract/backup-scheduler.ts';
import type { Data } from '../../shared/contract/commands.ts';
import type { Context } from '../../shared/service.ts';
import { lookAtPool, reasonToHold } from './pool.ts';
import type { Records } from './records.ts';
import { retention } from './retention.ts';

type Pruned = Data<'backup-scheduler.prune'>['vservers'][number];

/** Removes what no rule keeps; `dryRun`: says only what that is. One vserver after the other. */
export async function pruneAll(
  context: Pick<Context, 'bus' | 'log'>,
  records: Records,
  { lines, names, dryRun }: { lines: BackupLine[]; names: string[]; dryRun: boolean },
): Promise<Pruned[]> {
  const { bus, log } = context;
  const answers: Pruned[] = [];
  for (const vserver of names) {
    await records.ask([], vserver);
    const backups = records.of(vserver) ?? [];
    const line = lineOf(lines, vserver);
    const keep = line?.keep ?? {};
    const decided = retention(backups, keep, { timezone: line?.timezone ?? 'UTC' });
    const row = (one: (typeof decided)[number]): KeptBackup => {
      const { id, repository, taken, bytes } = one.backup;
      return { id, repository, taken, bytes, by: one.by };
    };
    const kept = decided.filter((one) => one.by.length > 0).map(row);
    const gone = decided.filter((one) => one.by.length === 0).map(row);
    // asked last, so that what began meanwhile counts
    const skipped = gone.length > 0 ? reasonToHold((await lookAtPool(context)).sagas, vserver) : undefined;
    if (dryRun || skipped !== undefined) {
      answers.push({
        vserver,
        kept,
        removed: dryRun ? gone : [],
        ...(skipped === undefined ? {} : { skipped }),
      });
      continue;
    }
    const removed: KeptBackup[] = [];
    const faults: string[] = [];
    for (const one of gone.toReversed())
      try {
        await bus.request(
          'master',
          'repository.remove',
          { repository: one.repository, vserver, id: one.id },
          { timeoutMs: 3_600_000 },
        );
        removed.push(one);
      } catch (error) {
        faults.push(`${one.id} in ${one.repository}: ${(error as Error).message}`);
      }
    if (removed.length > 0) {
      bus.event(
        'backup-scheduler',
        'pruned',
        `${removed.length} backups of ${vserver} that no rule keeps were removed, ${kept.length} are kept`,
        { vserver, removed: removed.map((one) => one.id).slice(0, 100) },
      );
      await records.ask([], vserver);
    }
    if (faults.length > 0) log.warn({ vserver, faults }, 'backups could not be removed');
    answers.push({ vserver, kept, removed, ...(faults.length > 0 ? { faults } : {}) });
  }
  return answers;
}
