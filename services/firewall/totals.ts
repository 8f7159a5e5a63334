import { statSync } from 'node:fs';
import type { Data } from '../../shared/contract/commands.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Log } from '../../shared/log.ts';
import type { Book } from './book.ts';

type Totals = Data<'firewall.counters'>['vservers'];
/** Each look starts a process in each vserver that has a firewall: not for every sample (ms). */
const AGAIN_MS = 30_000;
/** Thousands of rules take nft seconds: then the time to the next look is so many times as long. */
const SHARE = 100;

/** What the firewalls have let pass and denied. Whoever asks is answered at once, with what was counted last. */
export function openTotals(
  paths: Paths,
  running: () => Promise<{ name: string; pid: number }[]>,
  log: Log,
  book: Book,
) {
  let last: Totals = [];
  let next = -Infinity;
  let counting: Promise<void> | undefined;

  const hasRules = (name: string): boolean =>
    (statSync(`${paths.rules(name)}/guest.nft`, { throwIfNoEntry: false })?.size ?? 0) > 0;

  async function count(): Promise<void> {
    const found: Totals = [];
    const all = await running();
    await book.leave(new Set(all.map(({ name }) => name)));
    for (const { name, pid } of all) {
      if (!hasRules(name)) continue;
      try {
        const counts = await book.look(name, pid);
        if (!counts) continue;
        const { accepted, denied } = counts;
        found.push({ name, accepted, denied, rules: book.titled(name, counts) });
      } catch (error) {
        log.debug({ vserver: name, error: String(error) }, 'it may have ended while its rules were counted');
      }
    }
    last = found;
  }

  return async (): Promise<Totals> => {
    if (performance.now() >= next && !counting) {
      const began = performance.now();
      counting = count()
        .catch((error: unknown) => log.debug({ error: String(error) }, 'counters of firewalls'))
        .finally(() => {
          counting = undefined;
          next = began + Math.max(AGAIN_MS, SHARE * (performance.now() - began));
        });
    }
    return last;
  };
}
