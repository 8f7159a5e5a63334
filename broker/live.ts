import type { Client } from 'aedes';
import type { Log } from '../shared/log.ts';
import type { Identity } from './access.ts';
import type { RevokedList } from '../shared/revoked.ts';
import { revokedOf } from './certificates.ts';
import type { Tell } from './tell.ts';
import { type Rights, type User, type Users, rightsOf } from './users.ts';

const EVERY_MS = 1000;

const nothing: Rights = { role: 'custom', read: [], write: [] };

/** Everything that a change of a user can be a change of. */
const markOf = (user: User | undefined): string => (user ? JSON.stringify(user) : '');

/**
 * Who is connected, and as which user they came. Looks at the users file each second, and ends the connections of those
 * who were removed, or whose password or rights changed, or whose certificate was revoked; they may come again as what
 * they are now.
 */
export function followUsers(users: Users, revoked: RevokedList, log: Log, tell: Tell) {
  const live = new Map<Client, { who: Identity; mark: string }>();

  function check(): void {
    users.reload();
    revoked.reload(); // once for all of them
    for (const [client, { who, mark }] of live) {
      const now = users.find(who.name);
      const lost = revokedOf(client, revoked);
      if (markOf(now) === mark && lost === undefined) continue;
      live.delete(client);
      const changed = lost === undefined ? 'its password or its rights changed' : `its certificate: ${lost}`;
      const reason = now ? changed : 'the user was removed';
      if (now) Object.assign(who, rightsOf(now));
      else if (who.role !== 'agent') Object.assign(who, nothing); // a last will is none of its wishes any more
      log.warn(
        { user: who.name, client: who.clientId, from: who.address },
        `a connection was ended: ${reason}`,
      );
      tell('connection-ended', { user: who.name, client: who.clientId, address: who.address, reason });
      client.conn.destroy();
    }
  }
  const timer = setInterval(() => {
    try {
      check();
    } catch (error) {
      log.debug({ err: error }, 'the users were not checked'); // said already, by the users file itself
    }
  }, EVERY_MS).unref();

  return {
    /** A client was let in as this user; it is followed until it goes. */
    enter(client: Client, who: Identity, user: User): void {
      live.set(client, { who, mark: markOf(user) });
      client.conn.once('close', () => live.delete(client));
    },
    stop: () => clearInterval(timer),
  };
}
export type Live = ReturnType<typeof followUsers>;
