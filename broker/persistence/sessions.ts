import type { DatabaseSync } from 'node:sqlite';
import type { Journal } from './journal.ts';
import { createTopicTree } from './topic-tree.ts';

export interface Subscription {
  topic: string;
  qos: number;
  rh?: number;
  rap?: boolean;
  nl?: boolean;
  subscriptionIdentifier?: number;
}
export interface Session {
  client: string;
  user: string;
  /** When its connection ended (epoch milliseconds); 0 while it is connected. */
  seen: number;
  filters: Map<string, Subscription>;
}

export function readSessions(db: DatabaseSync): Session[] {
  const filters = Map.groupBy(db.prepare('SELECT * FROM subscriptions').all(), (row) =>
    String(row['client']),
  );
  return db
    .prepare('SELECT * FROM sessions')
    .all()
    .map((row) => ({
      client: String(row['client']),
      user: String(row['user']),
      seen: Number(row['seen']),
      filters: new Map(
        (filters.get(String(row['client'])) ?? []).map((one) => [
          String(one['filter']),
          JSON.parse(String(one['options'])) as Subscription,
        ]),
      ),
    }));
}

/** The subscriptions of clients that asked for a session (clean = false), by client and in a topic tree. */
export function openSessions(journal: Journal) {
  const sessions = new Map<string, Session>();
  const tree = createTopicTree<Map<string, Subscription>>();
  let matched = 0;

  function unmatch(client: string, filter: string): void {
    const clients = tree.get(filter);
    if (!clients?.delete(client)) return;
    matched--;
    if (clients.size === 0) tree.delete(filter);
  }
  function match(client: string, one: Subscription): void {
    unmatch(client, one.topic);
    if (one.qos === 0) return; // QoS 0 is not kept for anybody
    let clients = tree.get(one.topic);
    if (!clients) tree.set(one.topic, (clients = new Map()));
    clients.set(client, one);
    matched++;
  }
  const write = (one: Session) => journal.put('sessions', [one.client, one.user, one.seen]);

  return {
    get count() {
      return sessions.size;
    },
    get subscriptions() {
      return matched;
    },
    /** Sessions whose broker ended while they were connected count as seen at its next start. */
    load(all: Session[], now: number): void {
      for (const session of all) {
        sessions.set(session.client, session);
        for (const one of session.filters.values()) match(session.client, one);
        if (session.seen === 0) write(Object.assign(session, { seen: now }));
      }
    },
    get: (client: string): Session | undefined => sessions.get(client),
    countOf: (user: string): number =>
      sessions.values().reduce((sum, one) => sum + (one.user === user ? 1 : 0), 0),
    add(client: string, user: string, all: Subscription[]): void {
      let session = sessions.get(client);
      if (!session) {
        sessions.set(client, (session = { client, user, seen: 0, filters: new Map() }));
        write(session);
      }
      for (const given of all) {
        const { topic, qos, rh, rap, nl, subscriptionIdentifier } = given;
        const one = { topic, qos, rh, rap, nl } as Subscription;
        if (subscriptionIdentifier !== undefined) one.subscriptionIdentifier = subscriptionIdentifier;
        session.filters.set(topic, one);
        match(client, one);
        journal.put('subscriptions', [client, topic, JSON.stringify(one)]);
      }
    },
    /** Removes subscriptions; with the last one goes the session, and true is the answer. */
    remove(client: string, filters: Iterable<string>): boolean {
      const session = sessions.get(client);
      if (!session) return false;
      for (const filter of filters) {
        if (!session.filters.delete(filter)) continue;
        unmatch(client, filter);
        journal.remove('subscriptions', [client, filter]);
      }
      if (session.filters.size > 0) return false;
      sessions.delete(client);
      journal.remove('sessions', [client]);
      return true;
    },
    /** The client came (0) or went (now). */
    mark(client: string, seen: number): void {
      const session = sessions.get(client);
      if (session && session.seen !== seen) write(Object.assign(session, { seen }));
    },
    of: (client: string): Subscription[] => [...(sessions.get(client)?.filters.values() ?? [])],
    *matching(topic: string): Generator<Subscription & { clientId: string }> {
      for (const clients of tree.over(topic))
        for (const [clientId, one] of clients) yield { clientId, ...one };
    },
    *clientsOf(filter: string): Generator<string> {
      for (const session of sessions.values()) if (session.filters.has(filter)) yield session.client;
    },
    /** How many sessions have no connection now. */
    away: (): number => sessions.values().reduce((sum, one) => sum + (one.seen > 0 ? 1 : 0), 0),
    /** Sessions whose client went before this time. */
    unseenSince: (time: number): Session[] =>
      [...sessions.values()].filter((one) => one.seen > 0 && one.seen < time),
  };
}
