import type { Socket } from 'node:net';
import type { Client } from 'aedes';
import type { Settings } from '../config/settings.ts';
import type { Store } from './persistence/store.ts';

type Bounds = Pick<
  Settings,
  'BROKER_CONNECTIONS_PER_USER' | 'BROKER_SESSIONS_PER_USER' | 'BROKER_SUBSCRIPTIONS_PER_CLIENT'
>;

/** How much of the broker one user may take. A client that comes again under its id is never one too many. */
export function openLimits(settings: Bounds, store: Store) {
  const users = new Map<string, Set<Client>>();
  /** The filters of each client, also those that are still on their way. */
  const filters = new WeakMap<object, Set<string>>();
  return {
    /** Why this client may not enter as this user; undefined when it may, and then it is counted until it goes. */
    enter(client: Client, user: string): string | undefined {
      const clients = users.get(user) ?? new Set<Client>();
      const again = [...clients].some((one) => one.id === client.id);
      if (!again && clients.size >= settings.BROKER_CONNECTIONS_PER_USER)
        return `the user has ${clients.size} connections, as many as BROKER_CONNECTIONS_PER_USER allows`;
      store.claim(client.id, user);
      if (!client.clean && !store.sessions.get(client.id)) {
        const sessions = store.sessions.countOf(user);
        if (sessions >= settings.BROKER_SESSIONS_PER_USER)
          return `the user has ${sessions} sessions, as many as BROKER_SESSIONS_PER_USER allows`;
      }
      const conn = client.conn as Socket;
      if (conn.destroyed) return undefined; // went while its password was looked at; aedes goes no further with it
      users.set(user, clients.add(client));
      conn.once('close', () => {
        clients.delete(client);
        if (clients.size === 0 && users.get(user) === clients) users.delete(user);
      });
      return undefined;
    },
    /** Takes a filter to those of its client, unless they are too many. */
    subscribe(client: object, filter: string): boolean {
      const mine = filters.get(client) ?? new Set<string>();
      if (!mine.has(filter) && mine.size >= settings.BROKER_SUBSCRIPTIONS_PER_CLIENT) return false;
      filters.set(client, mine.add(filter));
      return true;
    },
    unsubscribed(client: object, gone: string[]): void {
      for (const filter of gone) filters.get(client)?.delete(filter);
    },
  };
}
export type Limits = ReturnType<typeof openLimits>;
