import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Aedes, type Client } from 'aedes';
import type { Settings } from '../config/settings.ts';
import { topicsFor } from '../shared/contract/topics.ts';
import { type Log, createLog } from '../shared/log.ts';
import { openRevoked } from '../shared/revoked.ts';
import { type Identity, mayPublish, mayRead, maySubscribe } from './access.ts';
import { openAudit } from './audit.ts';
import { userNameOf, verifyClient } from './certificates.ts';
import { openLimits } from './limits.ts';
import { openListeners } from './listeners.ts';
import type { Message } from './persistence/message.ts';
import { keepWills, publishOldWills } from './persistence/old-wills.ts';
import { persistenceOf } from './persistence/persistence.ts';
import { type Store, openStore } from './persistence/store.ts';
import { type Stats, createStats } from './stats.ts';
import { followUsers } from './live.ts';
import { openTeller } from './tell.ts';
import { openUsers, rightsOf } from './users.ts';

/** A refused publish goes here: taken and acknowledged, delivered to nobody (measured.md, G5). */
const NOWHERE = '$denied/publish';

function refusal(message: string, returnCode: number): Error & { returnCode: number } {
  return Object.assign(new Error(message), { returnCode });
}

/** Whose will is published after the broker's restart, which knows its client id only. */
const nobody: Identity = {
  name: '',
  clientId: '',
  role: 'custom',
  read: [],
  write: [],
  address: 'a last will',
};
const addressOf = (client: Client): string => (client.conn as Socket).remoteAddress ?? 'this machine';
const reasonFor = (who: Identity | null | undefined): string => `not allowed for role ${who?.role ?? 'none'}`;

async function createBroker(
  settings: Settings,
  log: Log,
  { count }: Stats,
): Promise<{ aedes: Aedes; store: Store; stop: () => Promise<void> }> {
  let publish = (_event: object) => {};
  const { tell, stop: stopTelling } = openTeller((event) => publish(event));
  const users = openUsers(settings.BROKER_USERS, (message) => {
    log.error(message);
    tell('users-file', { reason: message });
  });
  const audit = openAudit({
    file: `${settings.STATE_DIR}/audit.jsonl`,
    base: settings.BASE_TOPIC,
    onFault(message) {
      log.error(message);
      tell('audit-file', { reason: message });
    },
  });
  const revoked = openRevoked(`${settings.STATE_DIR}/ca/revoked.json`);
  const live = followUsers(users, revoked, log, tell);
  const identities = new WeakMap<object, Identity>();
  const base = settings.BASE_TOPIC;
  const eventTopic = topicsFor(base).events('master', 'broker');
  const store = openStore({
    file: `${settings.STATE_DIR}/broker.db`,
    limits: settings,
    log,
    count,
    userOf: (client) => identities.get(client)?.name ?? '',
    mayQueue({ user, client }, topic) {
      try {
        const known = users.find(user);
        return (
          known !== undefined && mayRead(base, { ...rightsOf(known), name: user, clientId: client }, topic)
        );
      } catch {
        return true; // the users file cannot be read now; the delivery asks again
      }
    },
    dropped(client, topic) {
      if (topic === eventTopic) return;
      const user = store.sessions.get(client)?.user;
      tell('message-dropped', { user, client, topic, reason: 'its queue is full' });
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
      // Until CONNACK nothing more is read: aedes would carry out what comes before the authentication has begun.
      (client as Client & { pause(): void }).pause();
      if (!packet.clientId) {
        tell('login-refused', { address: addressOf(client), reason: 'a client id is needed' });
        return done(refusal('a client id is needed', 2), false);
      }
      done(null, true);
    },
    authenticate(client, username, password, done) {
      const name = userNameOf(client, username);
      const address = addressOf(client);
      const refused = (reason: string) =>
        tell('login-refused', { user: name, client: client.id, address, reason });
      verifyClient(client, users, revoked, { name, password: password?.toString() ?? '' }, log).then(
        (right) => {
          const user = users.find(name);
          if (!right || !user) {
            log.warn({ user: name, client: client.id, from: address }, 'wrong user or password');
            refused('wrong user or password');
            return done(refusal('wrong user or password', 4) as never, null);
          }
          if (client.id !== name && !client.id.startsWith(`${name}-`)) {
            log.warn(
              { user: name, client: client.id },
              'the client id must be the user name, or begin with it and a dash',
            );
            refused('the client id must be the user name, or begin with it and a dash');
            return done(refusal('client id and user do not belong together', 2) as never, null);
          }
          const why = limits.enter(client, name);
          if (why) {
            count('clientsDenied', { user: name, client: client.id }, why);
            refused(why);
            return done(refusal(why, 3) as never, null);
          }
          const who = { ...rightsOf(user), name, clientId: client.id, address };
          identities.set(client, who);
          live.enter(client, who, user);
          const given = client as Client & { _will?: { topic: string } | null };
          if (given._will && !mayPublish(base, who, given._will.topic)) {
            log.warn({ user: name, client: client.id, topic: given._will.topic }, 'last will refused');
            const topic = given._will.topic;
            tell('will-refused', { user: name, client: client.id, address, topic, reason: reasonFor(who) });
            given._will = null; // aedes takes it over only after this
          }
          done(null, true);
        },
        (error: unknown) => {
          log.error({ err: error, user: name }, 'nobody can be let in');
          done(refusal('the broker cannot read its users', 3) as never, null);
        },
      );
    },
    authorizePublish(client, packet, done) {
      const who = client && identities.get(client);
      if (client && !client.closed) count('publishReceived'); // else it is a will
      // No client: an old will, which was checked when it was given.
      if (client === null || (who && mayPublish(base, who, packet.topic, packet.payload.length === 0))) {
        audit.command(
          who ?? { ...nobody, clientId: (packet as Message).clientId ?? '' },
          packet.topic,
          packet.payload,
          false,
        );
        audit.reply(packet.topic, packet.payload);
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
      const about = { user: who?.name, client: client.id, topic: packet.topic };
      if (who) audit.command(who, packet.topic, packet.payload, true);
      count('denied', about, 'publish refused');
      tell('publish-refused', { ...about, address: who?.address, reason: reasonFor(who) });
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
      tell('subscribe-refused', { ...about, address: who?.address, reason: reasonFor(who) });
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
  publish = (event) => {
    if (aedes.closed) return;
    const payload = Buffer.from(JSON.stringify(event));
    aedes.publish(
      { cmd: 'publish', topic: eventTopic, payload, qos: 1, retain: false, dup: false },
      () => undefined,
    );
  };
  return {
    aedes,
    store,
    stop() {
      live.stop();
      stopTelling();
      return audit.close();
    },
  };
}

/** Runs the embedded broker on the listeners that the settings name. */
export async function runBroker(settings: Settings): Promise<{ ports: number[]; close(): Promise<void> }> {
  const log = createLog(settings.LOG_LEVEL, 'broker');
  const stats = createStats(log);
  const { aedes, store, stop: stopBroker } = await createBroker(settings, log, stats);
  const endBroker = async () => {
    keepWills(aedes);
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    await stopBroker();
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
