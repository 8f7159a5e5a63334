import type { Context } from '../../shared/service.ts';
import type { Book } from './book.ts';
import type { Records } from './records.ts';
import { nextToVerify, roundOf } from './verify.ts';

const VERIFY_MS = 24 * 3_600_000;

/** Has a share of the backups of each repository verified each week, one at a time. */
export function openVerifying(
  { bus, settings, log }: Pick<Context, 'bus' | 'settings' | 'log'>,
  book: Book,
  records: Records,
) {
  /** By repository: the round, and what could not be verified in it. */
  const tried = new Map<string, { began: number; ids: Set<string> }>();
  let running = false;

  async function verify(repository: string, began: number): Promise<boolean> {
    const own = tried.get(repository);
    const ids = own?.began === began ? own.ids : new Set<string>();
    tried.set(repository, { began, ids });
    const some = records.all().filter((one) => one.repository === repository);
    const one = nextToVerify(some, { began, percent: settings.BACKUP_VERIFY_PERCENT, tried: ids });
    if (!one) return false;
    const { vserver, id } = one;
    try {
      const { backup } = await bus.request(
        'master',
        'repository.verify',
        { repository, vserver, id },
        { timeoutMs: VERIFY_MS },
      );
      if ((backup.verified ?? 0) < began) ids.add(id); // or it would come again at once
      if ((backup.faults ?? []).length > 0)
        bus.event(
          'backup-scheduler',
          'damaged',
          `the backup ${id} of ${vserver} in ${repository} is damaged: ${backup.faults?.[0]}`,
          {
            vserver,
          },
        );
    } catch (error) {
      ids.add(id);
      log.warn({ vserver, id, repository, error: String(error) }, 'a backup could not be verified');
    }
    await records.ask([], vserver);
    return true;
  }
  return {
    /** Begins the next one, unless one runs. */
    next(): void {
      if (running || settings.BACKUP_VERIFY_PERCENT === 0) return;
      running = true;
      const now = Date.now();
      const work = async () => {
        for (const repository of new Set(records.all().map((one) => one.repository))) {
          const began = roundOf(book.rounds[repository], now);
          if (began !== book.rounds[repository]) {
            book.rounds[repository] = began;
            await book.save();
          }
          if (await verify(repository, began)) return;
        }
      };
      void work()
        .catch((error: unknown) => log.warn({ error: String(error) }, 'backups were not verified'))
        .finally(() => (running = false));
    },
  };
}
