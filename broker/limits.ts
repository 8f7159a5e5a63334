import type { Socket } from 'node:net';
import type { Client } from 'aedes';
import type { Settings } from '../config/settings.ts';
import type { Store } from './persistence/store.ts';

type Bounds = Pick<Settings, 'BROKER_CONNECTIONS_PER_USER' | 'BROKER_SESSIONS_PER_USER'>;

/** How much of the broker one user may take. A client that comes again under its id is never one too many. */
export function openLimits(settings: Bounds, store: Store) {
  const users = new Map<string, Set<Client>>();
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
  };
}
export type Limits = ReturnType<typeof openLimits>;
