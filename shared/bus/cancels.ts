import type { Log } from '../log.ts';
import type { Connection } from './connection.ts';

const KEPT = 100;

interface GivenUp {
  id: string;
  target: string;
  /** The topic of the command. */
  topic: string;
}

/**
 * What this process gave up, and what was not answered since: where it runs nobody may have heard it, so it is said again
 * whenever the target says that it is there.
 */
export function openCancels(connection: Connection, issuer: string, log: Log) {
  const kept = new Map<string, GivenUp>();

  function say({ id, topic }: GivenUp): void {
    connection
      .send(topic, JSON.stringify({ id, cancel: true, issuer }), 1, false)
      .catch((error: unknown) => log.debug({ id, error: String(error) }, 'a cancel was not sent'));
  }
  return {
    add(one: GivenUp, now: boolean): void {
      const [oldest] = kept.size >= KEPT ? kept.keys() : [];
      if (oldest !== undefined) kept.delete(oldest);
      kept.set(one.id, one);
      if (now) say(one);
    },
    /** It was answered, or is asked for again. */
    forget: (id: string) => void kept.delete(id),
    sayAgain(target: string): void {
      for (const one of kept.values()) if (one.target === target) say(one);
    },
  };
}
