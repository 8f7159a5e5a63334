import type { VsError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Connection } from './connection.ts';

/** Some brokers end the connection for a message that they will not have: after so many losses it is left out ... */
const LOSSES = 3;
/** ... for so long. */
const REST_MS = 600_000;

interface Entry {
  /** What the topic shall hold; '' clears it, also when the broker was away at the time. */
  text: string;
  losses: number;
  restUntil: number;
}

/** The retained state of this process: its broker is a cache, which gets all of it again at each connect. */
export function openRetained(connection: Connection, log: Log) {
  const entries = new Map<string, Entry>();
  let life = 0;

  /** Publishes what the topic shall hold until that is acknowledged, or until it shall hold something else. */
  async function publish(topic: string, entry: Entry): Promise<void> {
    const { text } = entry;
    const mine = life;
    while (connection.connected && entry.text === text) {
      if (mine !== life) return; // the next connect has published it
      try {
        await connection.send(topic, text, 1, true);
        entry.losses = 0;
        return;
      } catch (error) {
        const { code } = error as VsError;
        if (code === 'deadline') continue; // no PUBACK
        if (code === 'usage') log.error({ topic, error: String(error) }, 'state that cannot be published');
        if (code === 'unavailable' && ++entry.losses >= LOSSES) {
          entry.restUntil = Date.now() + REST_MS;
          log.error(
            { topic },
            'the connection was lost at each try to publish this: it is left out for 10 minutes',
          );
        }
        return;
      }
    }
  }

  return {
    set(topic: string, payload: object | null): void {
      const entry = entries.get(topic) ?? { text: '', losses: 0, restUntil: 0 };
      entry.text = payload === null ? '' : JSON.stringify(payload);
      entries.set(topic, entry);
      if (Date.now() >= entry.restUntil) void publish(topic, entry);
    },
    /** All at once; then one by one, and last what was in flight most often when a connection was lost. */
    async renew(): Promise<void> {
      const mine = ++life;
      const now = [...entries].filter(([, entry]) => Date.now() >= entry.restUntil);
      const doubtful = now.filter(([, { losses }]) => losses > 0).sort(([, a], [, b]) => a.losses - b.losses);
      await Promise.all(now.filter(([, { losses }]) => losses === 0).map((one) => publish(...one)));
      for (const one of doubtful) if (mine === life) await publish(...one);
    },
    lost: () => void life++,
  };
}
export type Retained = ReturnType<typeof openRetained>;
