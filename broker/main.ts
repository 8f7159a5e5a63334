import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Aedes, type Client } from 'aedes';
import type { Settings } from '../config/settings.ts';
import { type Log, createLog } from '../shared/log.ts';
import { type Identity, mayPublish, mayRead, maySubscribe } from './access.ts';
import { userNameOf, verifyClient } from './certificates.ts';
import { openLimits } from './limits.ts';
import { openListeners } from './listeners.ts';
import type { Message } from './persistence/message.ts';
import { keepWills, publishOldWills } from './persistence/old-wills.ts';
import { persistenceOf } from './persistence/persistence.ts';
import { type Store, openStore } from './persistence/store.ts';
import { type Stats, createStats } from './stats.ts';
import { openUsers } from './users.ts';

/** A refused publish goes here: taken and acknowledged, delivered to nobody (measured.md, G5). */
const NOWHERE = '$denied/publish';

function refusal(message: string, returnCode: number): Error & { returnCode: number } {
  return Object.assign(new Error(message), { returnCode });
}

async function createBroker(
  settings: Settings,
  log: Log,
  { count }: Stats,
): Promise<{ aedes: Aedes; store: Store }> {
  const users = openUsers(settings.BROKER_USERS);
  const identities = new WeakMap<object, Identity>();
  const base = settings.BASE_TOPIC;
  const store = openStore({
    file: `${settings.STATE_DIR}/broker.db`,
    limits: settings,
    log,
    count,
    userOf: (client) => identities.get(client)?.name ?? '',
    mayQueue({ user, client }, topic) {
      try {
        const role = users.find(user)?.role;
        return role !== undefined && mayRead(base, { name: user, role, clientId: client }, topic);
      } catch {
        return true; // the users file cannot be read now; the delivery asks again
      }
    },
    onFatal(error) {
      log.fatal({ err: error }, 'the broker ends, for it cannot keep what it is given');
      process.exit(1);
    },
  });
  const limits = openLimits(settings, store);
  const aedes = await Aedes.createBroker({
    id: store.id, // new at each start and sortable by time
    persistence: persistenceOf(store),
    concurrency: 200,
    heartbeatInterval: 10_000,
    connectTimeout: 10_000,
    drainTimeout: 10_000,
    keepaliveLimit: 120,
    maxTopicLevels: settings.BROKER_TOPIC_LEVELS,
    preConnect(client, packet, done) {
      if (!packet.clientId) return done(refusal('a client id is needed', 2), false);
      done(null, true);
    },
    authenticate(client, username, password, done) {
      const name = userNameOf(client, username);
      verifyClient(client, users, { name, password: password?.toString() ?? '' }, log).then(
        (right) => {
          const user = users.find(name);
          if (!right || !user) {
            log.warn({ user: name, client: client.id }, 'wrong user or password');
            return done(refusal('wrong user or password', 4) as never, null);
          }
          if (client.id !== name && !client.id.startsWith(`${name}-`)) {
            log.warn(
              { user: name, client: client.id },
              'the client id must be the user name, or begin with it and a dash',
            );
            return done(refusal('client id and user do not belong together', 2) as never, null);
          }
          const why = limits.enter(client, name);
          if (why) {
            count('clientsDenied', { user: name, client: client.id }, why);
            return done(refusal(why, 3) as never, null);
          }
          const who = { name, role: user.role, clientId: client.id };
          identities.set(client, who);
          const given = client as Client & { _will?: { topic: string } | null };
          if (given._will && !mayPublish(base, who, given._will.topic)) {
            log.warn({ user: name, client: client.id, topic: given._will.topic }, 'last will refused');
            given._will = null; // aedes takes it over only after this
          }
          done(null, true);
        },
        (error: unknown) => {
          log.error({ err: error }, `the users file ${settings.BROKER_USERS} cannot be read`);
          done(refusal('the broker cannot read its users', 3) as never, null);
        },
      );
    },
    authorizePublish(client, packet, done) {
      const who = client && identities.get(client);
      if (client && !client.closed) count('publishReceived'); // else it is a will
      // No client: an old will, which was checked when it was given.
      if (client === null || (who && mayPublish(base, who, packet.topic))) {
        const stored = store.accept(client ?? packet, packet as Message);
        if (!stored) return done(null);
        const isWill = client === null || client.closed;
        stored.then(() => {
          // Its sender went meanwhile: aedes would not deliver what is stored now.
          if (!isWill && !client.connected && !client.connecting) aedes.publish(packet, () => done(null));
          else done(null);
        }, done);
        return;
      }
      count('denied', { user: who?.name, client: client.id, topic: packet.topic }, 'publish refused');
      packet.topic = NOWHERE;
      packet.payload = Buffer.alloc(0);
      packet.retain = false;
      done(null);
    },
    authorizeSubscribe(client, subscription, done) {
      const who = identities.get(client);
      if (who && maySubscribe(base, who, subscription.topic) && !subscription.topic.startsWith('$denied'))
        return done(null, subscription);
      const about = { user: who?.name, client: client.id, topic: subscription.topic };
      count('subscribeDenied', about, 'subscribe refused');
      done(null, null);
    },
    authorizeForward(client, packet) {
      const who = identities.get(client);
      if (!who || !mayRead(base, who, packet.topic)) return null;
      const waiting = (client.conn as Socket).writableLength;
      if (waiting > 8 * 1024 * 1024) {
        log.warn({ client: client.id, waiting }, 'a client that does not read was disconnected');
        client.conn.destroy();
        return null;
      }
      if (packet.qos === 0 && waiting > 1024 * 1024) {
        count('dropped', { client: client.id }, 'QoS 0 for a client that reads too slowly is dropped');
        return null;
      }
      count('sent');
      count('publishSent');
      return packet;
    },
  });
  return { aedes, store };
}

/** Runs the embedded broker on the listeners that the settings name. */
export async function runBroker(settings: Settings): Promise<{ ports: number[]; close(): Promise<void> }> {
  const log = createLog(settings.LOG_LEVEL, 'broker');
  const stats = createStats(log);
  const { aedes, store } = await createBroker(settings, log, stats);
  const endBroker = async () => {
    keepWills(aedes);
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    await store.close();
    log.flush();
  };
  const take = (stream: Duplex) => void aedes.handle(stream);
  const listeners = await openListeners(settings, { log, stats, take }).catch(async (error: unknown) => {
    await endBroker();
    throw error;
  });
  const ends = [
    stats.start(aedes, store, settings.BROKER_STATS_SECONDS),
    publishOldWills(aedes, store, log, settings.BROKER_WILL_SECONDS),
  ];
  return {
    ports: listeners.ports,
    async close() {
      for (const end of ends) end();
      listeners.close();
      await endBroker();
      listeners.cut();
    },
  };
}
