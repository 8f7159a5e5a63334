import type { z } from 'zod';
import type { Bus } from './bus.ts';

/** What was not said again so long after a reconnect was cleared while this process heard nothing. */
const REPEAT_MS = 60_000;

/**
 * What the retained topics of a filter hold now, by topic; what does not fit the schema is left out. After a reconnect the
 * broker is asked for all of it again, so that what was cleared meanwhile goes as well.
 */
export async function openHeard<T extends z.ZodType>(
  bus: Bus,
  filter: string,
  schema: T,
  options: {
    limit: number;
    /** With what the topic held before, and holds now. */
    changed?: (before: z.infer<T> | undefined, now: z.infer<T> | undefined, topic: string) => void;
    repeatMs?: number;
  },
) {
  const entries = new Map<string, { value: z.infer<T>; life: number }>();
  const { limit, changed = () => undefined, repeatMs = REPEAT_MS } = options;
  let life = 0;
  let leftOut = 0;
  let timer: NodeJS.Timeout | undefined;

  const listener = (topic: string, payload: unknown): void => {
    const before = entries.get(topic)?.value;
    const now = payload === null ? undefined : schema.safeParse(payload).data;
    if (now === undefined) entries.delete(topic);
    else if (before !== undefined || entries.size < limit) entries.set(topic, { value: now, life });
    else leftOut++;
    if (before !== undefined || entries.has(topic)) changed(before, now, topic);
  };
  function sweep(): void {
    for (const [topic, { value, life: heardIn }] of entries)
      if (heardIn < life) {
        entries.delete(topic);
        changed(value, undefined, topic);
      }
  }

  const off = await bus.subscribe(filter, listener);
  let first = true;
  let closed = false;
  bus.onConnect(() => {
    if (!first && !closed) {
      life++;
      clearTimeout(timer);
      timer = setTimeout(sweep, repeatMs).unref();
      void bus.subscribe(filter, listener); // all of it comes again, after what was counted as of this life
    }
    first = false;
  });

  return {
    /** Topic and value of each. */
    all: () => [...entries].map(([topic, { value }]) => ({ topic, value })),
    get: (topic: string): z.infer<T> | undefined => entries.get(topic)?.value,
    /** How many messages were left out, for there were as many topics as the limit already. */
    leftOut: () => leftOut,
    async close(): Promise<void> {
      closed = true;
      clearTimeout(timer);
      await off();
    },
  };
}
