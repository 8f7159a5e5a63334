import { appendFile, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openCollector } from '../../shared/bus/collect.ts';
import { type PastEvent, event } from '../../shared/contract/host.ts';
import type { Context } from '../../shared/service.ts';

/** The file is put aside at this size (bytes); the one before it is kept, the older one goes. */
const FULL = 4_000_000;
const IN_MEMORY = 2000;

/** What happened in the pool, kept on the master, also while this was away: the broker keeps it for its session. */
export function openHistory(context: Context) {
  const { bus, host, settings, log } = context;
  const file = join(settings.STATE_DIR, 'events.jsonl');
  const recent: PastEvent[] = [];
  const isKnown = ({ eventId }: { eventId?: string | undefined }) =>
    eventId !== undefined && recent.some((one) => one.eventId === eventId);
  let writing: Promise<void> = Promise.resolve();
  let collector: ReturnType<typeof openCollector> | undefined;

  function parse(text: string): PastEvent[] {
    return text
      .split('\n')
      .filter(Boolean)
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as PastEvent];
        } catch {
          return []; // the last line before a power cut may be torn
        }
      });
  }
  async function write(one: PastEvent): Promise<void> {
    const { size } = await stat(file).catch(() => ({ size: 0 }));
    if (size > FULL) await rename(file, `${file}.1`);
    await appendFile(file, `${JSON.stringify(one)}\n`, { mode: 0o600 });
  }
  function take(topic: string, payload: unknown): void {
    const parsed = event.safeParse(payload);
    if (!parsed.success || isKnown(parsed.data)) return; // a host may say it twice after an outage
    const levels = topic.split('/');
    const from = levels.at(-3) ?? '';
    const one = { ...parsed.data, from, service: levels.at(-1) ?? '' };
    recent.push(one);
    if (recent.length > IN_MEMORY) recent.shift();
    writing = writing
      .then(() => write(one))
      .catch((error: unknown) => log.warn({ error: String(error), file }, 'an event was not kept'));
  }
  return {
    async start(): Promise<void> {
      for (const name of [`${file}.1`, file])
        recent.push(...parse(await readFile(name, 'utf8').catch(() => '')));
      recent.splice(0, Math.max(0, recent.length - IN_MEMORY));
      collector = openCollector({
        settings,
        user: settings.BROKER_USER || host,
        name: 'history',
        filters: bus.topics.all.events,
        onMessage: take,
        log,
      });
    },
    /** The newest ones, the oldest first, by when they happened: those of an outage come later than that. */
    list: (limit: number): PastEvent[] => recent.toSorted((a, b) => a.ts - b.ts).slice(-limit),
    async stop(): Promise<void> {
      await collector?.end();
      await writing;
    },
  };
}
