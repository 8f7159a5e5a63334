import type { VsError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Connection } from './connection.ts';

/** Some brokers end the connection for a message that they will not have: after so many losses it is given up. */
const LOSSES = 3;

interface Message {
  topic: string;
  text: string;
  losses: number;
  flying: boolean;
}

/**
 * Messages that must arrive though the broker is away for a while: kept in memory until they are acknowledged, at most
 * `limit`; then the oldest are dropped and counted. Any of them may arrive twice. `ordered`: one after the other, as
 * they came; else all at once, so that many replies do not wait for one another.
 */
export function openOutbox(connection: Connection, options: { limit: number; ordered: boolean; log: Log }) {
  const { limit, ordered, log } = options;
  const kept = new Set<Message>();
  const next = () => kept.values().find((message) => !message.flying);
  let open = false;
  let busy = false;
  let dropped = 0;
  let onEmpty: (() => void)[] = [];

  /** False: not now, the connection is gone. */
  async function deliver(message: Message): Promise<boolean> {
    if (!connection.connected) return false;
    message.flying = true;
    try {
      await connection.send(message.topic, message.text, 1, false);
      kept.delete(message);
    } catch (error) {
      const { code } = error as VsError;
      if (code === 'unavailable') message.losses++;
      if (code === 'usage' || message.losses >= LOSSES) {
        kept.delete(message);
        log.error({ topic: message.topic, error: String(error) }, 'a message was given up');
      }
      if (code === 'unavailable') return false;
    } finally {
      message.flying = false;
      if (kept.size === 0) {
        for (const tell of onEmpty) tell();
        onEmpty = [];
      }
    }
    return true;
  }
  async function work(): Promise<void> {
    if (busy) return;
    busy = true;
    for (let message = next(); message; message = next()) {
      if (!(await deliver(message))) break;
    }
    busy = false;
  }

  const make = (topic: string, payload: object): Message => ({
    topic,
    text: JSON.stringify(payload),
    losses: 0,
    flying: false,
  });

  return {
    push(topic: string, payload: object): void {
      const oldest = kept.size >= limit ? kept.values().next().value : undefined;
      if (oldest) {
        kept.delete(oldest);
        if (dropped++ === 0)
          log.warn({ limit }, 'the broker is away too long: the oldest messages are dropped');
      }
      const message = make(topic, payload);
      kept.add(message);
      if (!open) return;
      if (ordered || busy) void work();
      else void deliver(message).then((there) => there && void work()); // work: if it was not acknowledged
    },
    /** The connection is there: sends what was kept, one by one. */
    open(): void {
      open = true;
      void work();
    },
    lost: () => void (open = false),
    /** A word about those that were dropped since this was called last, ahead of those that were kept. */
    tellDropped(topic: string, word: (number: number) => object): void {
      if (dropped === 0) return;
      const later = [...kept];
      kept.clear();
      for (const message of [make(topic, word(dropped)), ...later]) kept.add(message);
      dropped = 0;
    },
    empty: () => new Promise<void>((resolve) => (kept.size === 0 ? resolve() : void onEmpty.push(resolve))),
  };
}
export type Outbox = ReturnType<typeof openOutbox>;
