import type { VsError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Connection } from './connection.ts';
import type { Spool } from './spool.ts';

/** Some brokers end the connection for a message that they will not have: after so many losses it is given up. */
const LOSSES = 3;

interface Message {
  number: number;
  topic: string;
  text: string;
  losses: number;
  flying: boolean;
  /** A word about so many messages that were dropped. */
  about?: number;
}
interface Options {
  /** How many messages, and how many bytes of them, are kept at most. */
  limit: number;
  bytes: number;
  /** One after the other, as they came; else all at once, so that many replies do not wait for one another. */
  ordered: boolean;
  log: Log;
  /** Keeps them over the end of the process, too. */
  spool?: Spool | undefined;
  /** The word about so many that were dropped; it goes ahead of those that were kept. */
  word?: (number: number) => { topic: string; payload: object };
}

/**
 * Messages that must arrive though the broker is away for a while: kept until they are acknowledged, within limits;
 * then the oldest are dropped and counted. Any of them may arrive twice.
 */
export function openOutbox(connection: Connection, options: Options) {
  const { limit, bytes, ordered, log, spool } = options;
  const make = (topic: string, text: string, number = ++last): Message => ({
    number,
    topic,
    text,
    losses: 0,
    flying: false,
  });
  let last = 0;
  const kept = new Set<Message>();
  for (const { topic, text, number } of spool?.left ?? []) {
    last = number;
    kept.add(make(topic, text, number));
  }
  let size = [...kept].reduce((sum, { text }) => sum + text.length, 0);
  let word: Message | undefined;
  let open = false;
  let busy = false;
  let dropped = spool?.dropped ?? 0;
  let warned = false;
  let onEmpty: (() => void)[] = [];

  function forget(message: Message): void {
    if (message === word) word = undefined;
    else if (kept.delete(message)) {
      size -= message.text.length;
      spool?.remove(message.number);
    }
  }
  function count(more: number): void {
    dropped += more;
    spool?.setDropped(dropped);
  }
  function next(): Message | undefined {
    if (dropped > 0 && word === undefined && options.word) {
      const { topic, payload } = options.word(dropped);
      word = { ...make(topic, JSON.stringify(payload), 0), about: dropped };
    }
    if (word && !word.flying) return word;
    return kept.values().find((message) => !message.flying);
  }

  /** False: not now, the connection is gone. */
  async function deliver(message: Message): Promise<boolean> {
    if (!connection.connected) return false;
    message.flying = true;
    try {
      await connection.send(message.topic, message.text, 1, false);
      forget(message);
      if (message.about) count(-message.about);
    } catch (error) {
      const { code } = error as VsError;
      if (code === 'unavailable') message.losses++;
      if (code === 'usage' || message.losses >= LOSSES) {
        forget(message);
        count(message.about ? -message.about : 1);
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
  /** Makes room for one more of that length. */
  function makeRoom(length: number): void {
    for (const oldest of kept) {
      if (kept.size < limit && size + length <= bytes) return;
      forget(oldest);
      count(1);
      if (!warned) log.warn({ limit, bytes }, 'the broker is away too long: the oldest messages are dropped');
      warned = true;
    }
  }

  return {
    push(topic: string, payload: object): void {
      const message = make(topic, JSON.stringify(payload));
      makeRoom(message.text.length);
      kept.add(message);
      size += message.text.length;
      spool?.add(message.number, message, open ? undefined : 0);
      if (!open) return;
      if (ordered || busy) void work();
      else void deliver(message).then((there) => there && void work()); // work: if it was not acknowledged
    },
    /** The connection is there: sends what was kept, one by one. */
    open(): void {
      open = true;
      warned = false;
      void work();
    },
    lost(): void {
      open = false;
      spool?.soon(0);
    },
    empty: () => new Promise<void>((resolve) => (kept.size === 0 ? resolve() : void onEmpty.push(resolve))),
  };
}
export type Outbox = ReturnType<typeof openOutbox>;
