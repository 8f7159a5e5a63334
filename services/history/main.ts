import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { asideFiles } from './file.ts';
import { openNewest } from './newest.ts';
import type { Sample } from './store.ts';
import { openThread } from './thread.ts';

const FLUSH_MS = 20_000;
const EXPIRE_MS = 600_000;
/** A disk that does not answer does not hold up the end (ms). */
const STOP_MS = 10_000;
/** So many samples wait for a file that cannot be written; more are lost. */
const WAITING = 50_000;
const MEGABYTE = 1_000_000;

/** The history: hears the figures of the pool, has the newest in memory, and keeps them in a file of SQLite (docs/stats.md). */
export function service(context: Context, { flushMs = FLUSH_MS } = {}): Service {
  const { bus, settings, log } = context;
  const file = join(settings.STATE_DIR, 'history', 'metrics.sqlite');
  const limitBytes = settings.HISTORY_MB * MEGABYTE;
  const thread = openThread({ file, days: settings.HISTORY_DAYS, limitBytes }, tellDamage);
  let newest: Awaited<ReturnType<typeof openNewest>> | undefined;
  let waiting: Sample[] = [];
  let lost = 0;
  let writing: Promise<void> | undefined;
  let failed = false;
  let damaged = false;
  const timers: NodeJS.Timeout[] = [];

  function tellDamage(aside: string): void {
    const message = `the history of the figures was damaged: it lies in ${aside}, and a new one has begun. Remove that file when nobody needs it; this alert ends then`;
    damaged = true;
    bus.alert('history', 'damaged', { ts: Date.now(), severity: 'warning', message });
    log.error({ aside }, message);
  }
  function take(sample: Sample): void {
    if (waiting.length < WAITING) waiting.push(sample);
    else lost++;
  }
  async function write(): Promise<void> {
    const batch = waiting;
    if (batch.length === 0) return;
    waiting = [];
    try {
      await thread.add(batch);
      if (failed) bus.alert('history', 'write', null);
      failed = false;
    } catch (error) {
      const room = Math.max(0, WAITING - waiting.length);
      lost += Math.max(0, batch.length - room);
      waiting = [...batch.slice(-room || batch.length), ...waiting];
      if (failed) return;
      failed = true;
      const message = `the figures are not kept: ${(error as Error).message}; they wait in memory, and the oldest go when they are too many`;
      bus.alert('history', 'write', { ts: Date.now(), severity: 'warning', message });
      log.error(message);
    }
  }
  /** What is in memory goes into the file; one write at a time. */
  function flush(): Promise<void> {
    writing = (writing ?? Promise.resolve()).then(write);
    return writing;
  }
  function expire(): void {
    if (damaged && asideFiles(file).length === 0) {
      damaged = false;
      bus.alert('history', 'damaged', null);
    }
    void thread
      .expire(Date.now() / 1000)
      .catch((error: unknown) => log.warn({ error: String(error) }, 'old figures were not removed'));
  }

  return {
    name: 'history',
    handlers: {
      'history.newest': async (args) => newest?.list(args) ?? { subjects: [] },
      'history.query': async ({ subject, kind, since, until, step, keys }) => {
        const now = Date.now();
        const to = Math.min(until ?? now, now + 1);
        if (since >= to)
          throw new VsError('usage', `since (${since}) must lie before until (${to}), both in ms since 1970`);
        await flush();
        const found = await thread.query({
          subject,
          kind,
          step,
          keys,
          uuid: newest?.uuidOf(subject),
          since: since / 1000,
          until: to / 1000,
          now: now / 1000,
        });
        if (found) return found;
        throw new VsError(
          'not-found',
          `nothing was heard of a host or vserver ${subject}; vs stats shows those that there are`,
        );
      },
      'history.info': async () => {
        const info = await thread.info();
        return {
          ...info,
          limit_bytes: limitBytes,
          waiting: waiting.length,
          lost: lost + (newest?.leftOut() ?? 0),
        };
      },
    },
    async start() {
      newest = await openNewest(context, settings.METRICS_KEEP_SECONDS * 1000, take);
      const [aside] = asideFiles(file);
      if (aside !== undefined) tellDamage(aside);
      timers.push(
        setInterval(() => void flush(), flushMs),
        setInterval(expire, EXPIRE_MS),
      );
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await newest?.close();
      await Promise.race([flush(), sleep(STOP_MS, undefined, { ref: false })]);
      await thread.close();
    },
  };
}
