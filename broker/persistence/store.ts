import type { Settings } from '../../config/settings.ts';
import type { Log } from '../../shared/log.ts';
import type { Count } from '../stats.ts';
import { readDatabase } from './database.ts';
import { openJournal } from './journal.ts';
import { type Message, own } from './message.ts';
import { type Item, openQueues, readQueue } from './queues.ts';
import { openRetained, readRetained } from './retained.ts';
import { type Session, openSessions, readSessions } from './sessions.ts';
import { type ClientLike, openWills, readWills } from './wills.ts';
import { openIncoming, readIncoming } from './incoming.ts';

interface Broker {
  id: string;
  on?(event: 'client' | 'clientDisconnect', listener: (client: ClientLike) => void): void;
}
type Limits = Pick<
  Settings,
  | 'BROKER_QUEUE_MESSAGES'
  | 'BROKER_QUEUE_BYTES'
  | 'BROKER_RETAINED_MESSAGES'
  | 'BROKER_RETAINED_BYTES'
  | 'BROKER_SESSION_HOURS'
>;
export interface StoreOptions {
  file: string;
  limits: Limits;
  log: Log;
  count: Count;
  /** Whose session is it that this client has? */
  userOf: (client: ClientLike) => string;
  /** May this session get what is published on this topic? What it may not read is not kept for it. */
  mayQueue: (session: Session, topic: string) => boolean;
  /** A message of QoS 1 or 2 did not get into the full queue of a client. */
  dropped?: (client: string, topic: string) => void;
  onFatal: (error: Error) => void;
}
const HOUR = 3_600_000;

/**
 * What the broker keeps: everything in memory, every change in the journal. `accept` stores what a packet does before
 * it is acknowledged (measured.md, G2); what aedes asks for later, for the same packet, changes nothing more.
 */
export function openStore(options: StoreOptions) {
  const { file, limits, log, count } = options;
  const { value: read, setAside } = readDatabase(file, (db) => ({
    retained: readRetained(db),
    sessions: readSessions(db),
    queue: readQueue(db),
    incoming: readIncoming(db),
    wills: readWills(db),
    born: Number(db.prepare("SELECT value FROM meta WHERE key = 'born'").get()?.['value'] ?? 0),
  }));
  if (setAside)
    log.error(
      { file, setAside },
      `${file} is damaged and was set aside as ${setAside}: the broker starts empty, and agents publish their state again`,
    );
  const now = Date.now();
  const born = Math.max(now, read.born + 1); // new at each start, also when the clock went back
  const journal = openJournal({ file, log, onFatal: options.onFatal });
  journal.put('meta', ['born', String(born)]);

  const retained = openRetained(
    journal,
    { messages: limits.BROKER_RETAINED_MESSAGES, bytes: limits.BROKER_RETAINED_BYTES },
    (topic) => count('retainedRefused', { topic }, 'a message was not retained: there are too many'),
  );
  const queues = openQueues(
    journal,
    { messages: limits.BROKER_QUEUE_MESSAGES, bytes: limits.BROKER_QUEUE_BYTES },
    (client, topic) => {
      count('dropped', { client }, 'the queue of a client is full: what comes for it is dropped');
      options.dropped?.(client, topic);
    },
  );
  const sessions = openSessions(journal);
  const incoming = openIncoming(journal);
  const wills = openWills(journal);
  retained.load(read.retained);
  sessions.load(read.sessions, now);
  queues.load(read.queue);
  incoming.load(read.incoming);
  wills.load(read.wills);
  for (const client of queues.clients()) if (!sessions.get(client)) queues.drop(client);

  /** What was stored before its acknowledgement, by the payload: aedes copies packets, and keeps that one object. */
  const accepted = new WeakMap<object, Item[]>();
  const turns = new WeakMap<object, Promise<void>>();
  let broker: Broker = { id: `vs-${born.toString(36)}` };

  function forget(client: string): void {
    sessions.remove(client, [...(sessions.get(client)?.filters.keys() ?? [])]);
    queues.drop(client);
    incoming.clean(client);
  }
  function enqueue(clients: Iterable<{ clientId: string }>, packet: Message): Item[] {
    const items: Item[] = [];
    for (const clientId of new Set([...clients].map((one) => one.clientId))) {
      const session = sessions.get(clientId);
      if (session && !options.mayQueue(session, packet.topic)) continue;
      if (queues.has(clientId, packet)) continue; // overlapping subscriptions
      const item = queues.add(clientId, packet);
      if (item) items.push(item);
    }
    return items;
  }
  /** Does to memory and journal what a packet does; true if there was anything to do. */
  function take(packet: Message): boolean {
    packet.payload = own(packet.payload);
    if (packet.retain) retained.store(packet);
    const items = packet.qos > 0 ? enqueue(sessions.matching(packet.topic), packet) : [];
    accepted.set(packet.payload, items);
    return packet.retain || items.length > 0;
  }
  const expiry = setInterval(() => void store.expire(Date.now()), 60_000).unref();

  const store = {
    id: broker.id,
    get broker() {
      return broker;
    },
    retained,
    queues,
    sessions,
    incoming,
    wills,
    journal,
    attach(to: Broker): void {
      broker = to;
      broker.on?.('client', (client) => sessions.mark(client.id, 0));
      broker.on?.('clientDisconnect', (client) => sessions.mark(client.id, Date.now()));
    },
    /** Subscriptions, as objects of their SUBSCRIBE, that the client was not granted: aedes asks to store all of a packet. */
    refused: new WeakSet<object>(),
    /** Queues a packet that was not accepted before (the broker's own, and wills of QoS 2). */
    enqueue,
    take,
    forget,
    accepted: (packet: Message): Item[] | undefined => accepted.get(packet.payload as Buffer),
    userOf: options.userOf,
    /**
     * To be awaited before a packet of QoS 1 is acknowledged, and before a will is published. A packet that stores
     * nothing waits only for those of the same client before it, so that they stay in order; undefined if there are none.
     */
    accept(client: object, packet: Message): Promise<void> | undefined {
      if (packet.qos === 0) return undefined;
      const later = packet.qos === 2 && packet.messageId !== undefined; // stored with the note that it came
      const stored = !later && take(packet) ? journal.commit() : undefined;
      const before = turns.get(client);
      if (!stored && !before) return undefined;
      const turn = Promise.all([before, stored]).then(() => {
        if (turns.get(client) === turn) turns.delete(client);
      });
      turns.set(client, turn);
      return turn;
    },
    /** A client enters with a user: a session that another user left under its id is not for it. */
    claim(client: string, user: string): void {
      const session = sessions.get(client);
      if (session && session.user !== user) forget(client);
    },
    /** Ends sessions whose client has been away for too long; how many. */
    expire(time: number): number {
      const over = sessions.unseenSince(time - limits.BROKER_SESSION_HOURS * HOUR);
      for (const { client } of over) {
        forget(client);
        count('expired', { client }, 'the session of a client that stayed away has ended');
      }
      return over.length;
    },
    /** Wills that an earlier life of the broker has left and nothing newer stands against. */
    oldWills(): Message[] {
      return wills.list().filter((will) => {
        if (will.brokerId === broker.id) return false;
        if (!will.retain || !retained.isNew(will.topic)) return true;
        wills.remove({ id: will.clientId ?? '' });
        return false;
      });
    },
    async close(): Promise<void> {
      clearInterval(expiry);
      await journal.close();
    },
  };
  store.expire(now);
  return store;
}
export type Store = ReturnType<typeof openStore>;
