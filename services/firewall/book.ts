import { join } from 'node:path';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { parseFile, readText, writeJson } from '../../shared/store.ts';
import { createTurns } from '../../shared/turns.ts';
import {
  type CountRecord,
  type Counts,
  type Title,
  observe,
  record,
  titled,
  titlesOf,
  totalOf,
} from './counts.ts';
import { countersOf } from './counters.ts';
import { listRules, lookInto, namespaceOf } from './live.ts';
import type { Rest } from './rest.ts';
import type { Rule } from './rule.ts';

/** A record is written no more often than that, unless rules are loaded anew (ms). */
const WRITTEN_MS = 60_000;

const MOST_TITLES = 500;

interface Page {
  record: CountRecord;
  /** The file as this agent read or wrote it last. */
  file: string | undefined;
  /** It is not on the disk as it is here. */
  changed: boolean;
  written: number;
}
/** What the firewalls of this host's vservers have counted, over the loads of their rules. It lies in their trees, and travels with them. */
export function openBook(
  { bus, host, log }: Pick<Context, 'bus' | 'host' | 'log'>,
  paths: Paths,
  rest: Rest,
) {
  const pages = new Map<string, Page>();
  /** Of the rules that were loaded last. */
  const titles = new Map<string, Title[]>();
  const inTurn = createTurns();
  const fileOf = (name: string) => join(paths.vserver(name), 'firewall-counts.json');

  /** A damaged file is as good as none. */
  function recordIn(name: string, text: string | undefined): CountRecord | undefined {
    try {
      return text === undefined ? undefined : parseFile(fileOf(name), text, record);
    } catch {
      return undefined;
    }
  }
  async function write(name: string, page: Page): Promise<void> {
    page.written = performance.now();
    await writeJson(fileOf(name), record, page.record);
    page.file = await readText(fileOf(name));
    page.changed = false;
  }
  /** What is known of it. With other rules than before it may have been on another host meanwhile, which wrote the file. */
  async function pageOf(name: string, table: string): Promise<Page | Pick<Page, 'file'>> {
    const known = pages.get(name);
    if (known?.record.table === table) return known;
    const file = await readText(fileOf(name));
    return known && known.file === file ? known : { file };
  }
  /** What is in force now, and all that was counted; undefined when nothing is in force. */
  async function look(name: string, pid: number) {
    if (!(await lookInto(pid))) return undefined;
    const found = countersOf(await listRules(pid));
    const table = `${await namespaceOf(pid)} ${found.handle}`;
    const { uuid } = (await bus.request(host, 'host-agent.show', { name })).state;
    const known = await pageOf(name, table);
    const before = 'record' in known ? known.record : recordIn(name, known.file);
    const now = observe(before, { uuid, table, found });
    const page: Page =
      'record' in known ? known : { ...known, record: now, changed: false, written: -Infinity };
    page.changed ||= JSON.stringify(before) !== JSON.stringify(now);
    page.record = now;
    pages.set(name, page);
    const due = before?.table !== table || performance.now() - page.written > WRITTEN_MS;
    if (page.changed && due && (await rest(name)) === 'rests') await write(name, page);
    return totalOf(now);
  }
  async function settle(name: string, page: Page, drop: boolean): Promise<void> {
    const is = await rest(name);
    if (is === 'rests' && page.changed) await write(name, page);
    if (drop && is !== 'busy') pages.delete(name);
  }
  const settleAll = async (which: (name: string) => boolean, drop: boolean): Promise<void> => {
    for (const [name, page] of pages)
      if (which(name))
        await inTurn(name, () => settle(name, page, drop)).catch((error: unknown) =>
          log.debug({ vserver: name, error: String(error) }, 'what its firewall counted is not kept'),
        );
  };

  return {
    look: (name: string, pid: number) => inTurn(name, () => look(name, pid)),
    /** Looks, and then does what makes the kernel begin anew, with no other look in between. */
    before: (name: string, pid: number, work: () => Promise<void>): Promise<void> =>
      inTurn(name, async () => {
        await look(name, pid).catch((error: unknown) =>
          log.debug({ vserver: name, error: String(error) }, 'its rules could not be counted'),
        );
        await work();
      }),
    /** The rules that are loaded now, or at the next start. */
    names(name: string, rules: Rule[]): void {
      titles.delete(name);
      titles.set(name, titlesOf(rules));
      for (const [oldest] of titles) if (titles.size > MOST_TITLES) titles.delete(oldest);
    },
    /** What its rules have counted, by their names in metrics. */
    titled: (name: string, counts: Counts) => titled(titles.get(name) ?? [], counts),
    /** Of those that run here no more. */
    leave: (running: Set<string>) => settleAll((name) => !running.has(name), true),
    close: () => settleAll(() => true, false),
  };
}
export type Book = ReturnType<typeof openBook>;
