import type { Args, Data } from '../../shared/contract/commands.ts';
import type { TrashEntry } from '../../shared/contract/snapshot.ts';
import type { Deciding } from './plans/planned.ts';

/** A host that does not answer by then is told as away (ms). */
const WAIT_MS = 10_000;

/** What lies in the trash of all hosts, the oldest first; hosts that did not answer are named. */
export async function trashOf(
  { context, pool }: Deciding,
  { host, name }: Args<'orchestrator.trash'>,
): Promise<Data<'orchestrator.trash'>> {
  if (host) pool.requireHost(host);
  const entries: (TrashEntry & { host: string })[] = [];
  const away: string[] = [];
  await Promise.all(
    (host ? [host] : pool.hosts()).map(async (one) => {
      if (!pool.isOnline(one)) {
        away.push(one);
        return;
      }
      const asked = context.bus.request(one, 'snapshot.trashed', name ? { name } : {}, {
        timeoutMs: WAIT_MS,
      });
      await asked.then(
        (answer) => entries.push(...answer.entries.map((entry) => ({ ...entry, host: one }))),
        () => away.push(one),
      );
    }),
  );
  return { entries: entries.sort((a, b) => a.ts - b.ts), away: away.sort() };
}
