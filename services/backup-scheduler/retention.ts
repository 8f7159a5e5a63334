import { type Keep, type Period, periods } from '../../config/backup-options.ts';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import { periodOf } from './periods.ts';

/** As far as it matters here. */
export type Backup = Pick<
  BackupRecord,
  'id' | 'repository' | 'uuid' | 'taken' | 'protected' | 'faults' | 'bytes'
>;
export interface Decided<T> {
  backup: T;
  /** The rules that keep it; none: it goes. */
  by: string[];
}

/** Whole, as far as anybody has looked. */
export const isGood = ({ faults }: Pick<Backup, 'faults'>): boolean => (faults ?? []).length === 0;

const newestFirst = (a: Backup, b: Backup) => b.taken - a.taken || (a.id < b.id ? 1 : -1);

/** Which rules keep which of these backups, the newest first: the newest of each of the last periods that have one (as restic does it). */
function byRules<T extends Backup>(backups: T[], keep: Keep, timezone: string): Map<T, string[]> {
  const kept = new Map<T, string[]>();
  const add = (backup: T, rule: string) => kept.set(backup, [...(kept.get(backup) ?? []), rule]);
  for (const backup of backups.slice(0, keep.last ?? 0)) add(backup, 'last');
  for (const period of periods) {
    const seen = new Set<string>();
    for (const backup of backups) {
      if (seen.size >= (keep[period] ?? 0)) break;
      const key = periodOf(period as Period, backup.taken, timezone);
      if (!seen.has(key)) add(backup, period);
      seen.add(key);
    }
  }
  return kept;
}

function ofOneGroup<T extends Backup>(all: T[], keep: Keep, timezone: string): Decided<T>[] {
  const backups = all.toSorted(newestFirst);
  const good = backups.filter(isGood);
  const kept = byRules(good, keep, timezone);
  // a faulty one takes the place of no good one, and goes when its time has come
  const everyone = byRules(backups, keep, timezone);
  const newest = good[0];
  return backups.map((backup) => {
    const rules = isGood(backup)
      ? (kept.get(backup) ?? [])
      : (everyone.get(backup) ?? []).map((rule) => `${rule} (faulty)`);
    if (backup.protected) rules.push('protected');
    if (good.length === 1 && backup === newest) rules.push('the only good one');
    else if (backup === newest && rules.length === 0) rules.push('the newest good one');
    return { backup, by: rules };
  });
}

/**
 * What is kept of the backups of one vserver. Each repository is looked at for itself, and each vserver that had the name.
 * Without a rule all are kept. `held`: those that something reads at the moment.
 */
export function retention<T extends Backup>(
  backups: T[],
  keep: Keep,
  { timezone, held }: { timezone: string; held?: (backup: T) => string | undefined },
): Decided<T>[] {
  const groups = Map.groupBy(backups, ({ repository, uuid }) => `${repository} ${uuid}`);
  const rules = Object.values(keep).some((count) => count > 0);
  const decided = rules
    ? [...groups.values()].flatMap((group) => ofOneGroup(group, keep, timezone))
    : backups.map((backup) => ({ backup, by: ['no keep- option'] }));
  for (const one of decided) {
    const why = held?.(one.backup);
    if (why !== undefined) one.by.push(why);
  }
  return decided.toSorted((a, b) => newestFirst(a.backup, b.backup));
}
