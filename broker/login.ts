import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { AedesOptions, Client } from 'aedes';
import type { Log } from '../shared/log.ts';
import type { RevokedList } from '../shared/revoked.ts';
import { type Identity, mayPublish } from './access.ts';
import { userNameOf, verifyClient } from './certificates.ts';
import type { Limits } from './limits.ts';
import type { Live } from './live.ts';
import type { Count } from './stats.ts';
import { type Tell, reasonFor } from './tell.ts';
import { type User, type Users, rightsOf } from './users.ts';

/** Codes of CONNACK (MQTT 3.1.1, 3.2.2.3). */
const codes = { id: 2, unavailable: 3, login: 4 } as const;

function refusal(message: string, code: keyof typeof codes): Error & { returnCode: number } {
  return Object.assign(new Error(message), { returnCode: codes[code] });
}
const addressOf = (client: Client): string => (client.conn as Socket).remoteAddress ?? 'this machine';

/** How clients are let in, as aedes asks for it; who they are is in `identities` from then on. */
export function loginOf(options: {
  base: string;
  users: Users;
  revoked: RevokedList;
  identities: WeakMap<object, Identity>;
  limits: Limits;
  live: Live;
  count: Count;
  tell: Tell;
  log: Log;
}): Required<Pick<AedesOptions, 'preConnect' | 'authenticate'>> {
  const { base, users, revoked, identities, limits, live, count, tell, log } = options;

  function refuse(client: Client, name: string, why: string, code: keyof typeof codes) {
    const address = addressOf(client);
    count('clientsDenied', { user: name, client: client.id, from: address }, why);
    tell('login-refused', { user: name, client: client.id, address, reason: why });
    return refusal(why, code);
  }
  /** A client has proved to be this user: lets it in, or says why not. */
  function enter(client: Client, name: string, user: User): Error | undefined {
    if (client.id !== name && !client.id.startsWith(`${name}-`))
      return refuse(client, name, 'the client id must be the user name, or begin with it and a dash', 'id');
    const why = limits.enter(client, name);
    if (why) return refuse(client, name, why, 'unavailable');
    const address = addressOf(client);
    const who = { ...rightsOf(user), name, clientId: client.id, address };
    identities.set(client, who);
    live.enter(client, who, user);
    const given = client as Client & { _will?: { topic: string } | null };
    if (given._will && !mayPublish(base, who, given._will.topic)) {
      const { topic } = given._will;
      log.warn({ user: name, client: client.id, topic }, 'last will refused');
      tell('will-refused', { user: name, client: client.id, address, topic, reason: reasonFor(who) });
      given._will = null; // aedes takes it over only after this
    }
    return undefined;
  }

  return {
    preConnect(client, packet, done) {
      // Until CONNACK nothing more is read: aedes would carry out what comes before the authentication has begun.
      (client as Client & { pause(): void }).pause();
      if (packet.clientId) return done(null, true);
      // MQTT 3.1.1, 3.1.3.1: no session can be found again without an id; without a session the broker gives one.
      if (packet.clean) {
        packet.clientId = `${userNameOf(client, packet.username)}-${randomBytes(6).toString('hex')}`;
        return done(null, true);
      }
      tell('login-refused', { address: addressOf(client), reason: 'a client id is needed for a session' });
      done(refusal('a client id is needed for a session', 'id'), false);
    },
    authenticate(client, username, password, done) {
      const name = userNameOf(client, username);
      verifyClient(client, users, revoked, { name, password: password?.toString() ?? '' }, log).then(
        (right) => {
          const user = users.find(name);
          const fault =
            right && user
              ? enter(client, name, user)
              : refuse(client, name, 'wrong user or password', 'login');
          done((fault ?? null) as never, fault ? null : true);
        },
        (error: unknown) => {
          log.error({ err: error, user: name }, 'nobody can be let in');
          done(refusal('the broker cannot read its users', 'unavailable') as never, null);
        },
      );
    },
  };
}
