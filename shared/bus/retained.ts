import { setTimeout as sleep } from 'node:timers/promises';
import type { VsError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Connection } from './connection.ts';
import type { Raised } from './raised.ts';

/** Some brokers end the connection for a message that they will not have: after so many losses it is left out ... */
const LOSSES = 3;
/** ... for so long. */
const REST_MS = 600_000;
/** After a connect at most so many are on their way at once: 200 hosts do it in the same moment. */
const AT_ONCE = 32;
/** What the broker had before the loss is said again after a time by chance, at most so long. */
const SPREAD_MS = 1000;

interface Entry {
  /** What the topic shall hold; '' clears it, also when the broker was away at the time. */
  text: string;
  /** What the broker acknowledged last. */
  held?: string;
  losses: number;
  /** The connection that was lost last: more than one message of it may have been on the way. */
  lostIn?: number;
  restUntil: number;
}

/**
 * The retained state of this process: its broker is a cache, which gets all of it again at each connect. Topics that
 * `isAlert` names are kept in `raised`, over the end of the process.
 */
export function openRetained(
  connection: Connection,
  log: Log,
  alerts?: { isAlert: (topic: string) => boolean; raised: Raised },
) {
  const entries = new Map<string, Entry>();
  let life = 0;

  /** Publishes what the topic shall hold until that is acknowledged, or until it shall hold something else. */
  async function publish(topic: string, entry: Entry): Promise<void> {
    const { text } = entry;
    const mine = life;
    if (text !== '' && alerts?.isAlert(topic)) await alerts.raised.add(topic);
    while (connection.connected && entry.text === text) {
      if (mine !== life) return; // the next connect has published it
      try {
        await connection.send(topic, text, 1, true);
        entry.losses = 0;
        entry.held = text;
        if (text === '' && entry.text === '') alerts?.raised.remove(topic);
        return;
      } catch (error) {
        const { code } = error as VsError;
        if (code === 'deadline') continue; // no PUBACK
        if (code === 'usage') log.error({ topic, error: String(error) }, 'state that cannot be published');
        if (code !== 'unavailable' || entry.lostIn === mine) return;
        entry.lostIn = mine;
        if (++entry.losses >= LOSSES) {
          entry.restUntil = performance.now() + REST_MS;
          setTimeout(() => void publish(topic, entry), REST_MS).unref();
          log.error(
            { topic },
            'the connection was lost at each try to publish this: it is left out for 10 minutes',
          );
        }
        return;
      }
    }
  }
  async function publishAll(some: [string, Entry][], mine: number): Promise<void> {
    const left = some.values();
    const worker = async () => {
      for (const one of left) if (mine === life) await publish(...one);
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, some.length) }, worker));
  }
  function set(topic: string, payload: object | null): void {
    const entry = entries.get(topic) ?? { text: '', losses: 0, restUntil: 0 };
    entry.text = payload === null ? '' : JSON.stringify(payload);
    entries.set(topic, entry);
    if (performance.now() >= entry.restUntil) void publish(topic, entry);
  }

  return {
    set,
    /** First what the broker has not; then the rest; last, one by one, what was in flight when a connection was lost. */
    async renew(): Promise<void> {
      const mine = ++life;
      const now = [...entries].filter(([, entry]) => performance.now() >= entry.restUntil);
      const good = now.filter(([, { losses }]) => losses === 0);
      const doubtful = now.filter(([, { losses }]) => losses > 0).sort(([, a], [, b]) => a.losses - b.losses);
      const news = good.filter(([, { text, held }]) => text !== held);
      await publishAll(news, mine);
      const again = good.filter((one) => !news.includes(one));
      if (again.length > 0) await sleep(Math.random() * SPREAD_MS, undefined, { ref: false });
      await publishAll(again, mine);
      for (const one of doubtful) if (mine === life) await publish(...one);
    },
    lost: () => void life++,
    /** Clears the alerts of an earlier life that do not fire in this one. */
    clearLeft(): void {
      for (const topic of alerts?.raised.left ?? []) if (!entries.has(topic)) set(topic, null);
    },
  };
}
export type Retained = ReturnType<typeof openRetained>;
