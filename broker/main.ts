import type { Duplex } from 'node:stream';
import { Aedes } from 'aedes';
import type { Settings } from '../config/settings.ts';
import { topicsFor } from '../shared/contract/topics.ts';
import { type Log, createLog } from '../shared/log.ts';
import { openRevoked } from '../shared/revoked.ts';
import { type Identity, mayRead } from './access.ts';
import { openAudit } from './audit.ts';
import { discoveryAccess } from './discovery-access.ts';
import { openEmitter } from './emitter.ts';
import { openLimits } from './limits.ts';
import { openListeners } from './listeners.ts';
import { followUsers } from './live.ts';
import { loginOf } from './login.ts';
import { keepWills, publishOldWills } from './persistence/old-wills.ts';
import { persistenceOf } from './persistence/persistence.ts';
import { type Store, openStore } from './persistence/store.ts';
import { openQueueAlerts } from './queue-alerts.ts';
import { rulesOf } from './rules.ts';
import { type ShortWay, openShortWay } from './short-way.ts';
import { type Stats, createStats } from './stats.ts';
import { openTeller } from './tell.ts';
import { openUsers, rightsOf } from './users.ts';

async function createBroker(
  settings: Settings,
  log: Log,
  { count }: Stats,
): Promise<{ aedes: Aedes; store: Store; shortWay: ShortWay; stop: () => Promise<void> }> {
  const base = settings.BASE_TOPIC;
  const discovery = discoveryAccess(settings.HOMEASSISTANT_PREFIX);
  const eventTopic = topicsFor(base).events('master', 'broker');
  let aedes: Aedes | undefined;
  const send: Aedes['publish'] = (packet, done) => aedes?.publish(packet, done);
  const { tell, stop: stopTelling } = openTeller((event) => {
    if (aedes?.closed) return;
    const payload = Buffer.from(JSON.stringify(event));
    send({ cmd: 'publish', topic: eventTopic, payload, qos: 1, retain: false, dup: false }, () => undefined);
  });
  const onFault = (what: 'users-file' | 'audit-file') => (message: string) => {
    log.error(message);
    tell(what, { reason: message });
  };
  const users = openUsers(settings.BROKER_USERS, onFault('users-file'));
  const audit = openAudit({
    file: `${settings.STATE_DIR}/audit.jsonl`,
    base,
    onFault: onFault('audit-file'),
  });
  const revoked = openRevoked(`${settings.STATE_DIR}/ca/revoked.json`);
  const live = followUsers(users, revoked, log, tell);
  const identities = new WeakMap<object, Identity>();
  const store = openStore({
    file: `${settings.STATE_DIR}/broker.db`,
    limits: settings,
    log,
    count,
    userOf: (client) => identities.get(client)?.name ?? '',
    mayQueue({ user, client }, topic) {
      try {
        const known = users.find(user);
        if (!known) return false;
        const who = { ...rightsOf(known), name: user, clientId: client };
        return mayRead(base, who, topic) || discovery.mayRead(who, topic);
      } catch {
        return true; // the users file cannot be read now; the delivery asks again
      }
    },
    dropped(client, topic) {
      if (topic === eventTopic) return;
      const user = store.sessions.get(client)?.user;
      tell('message-dropped', { user, client, topic, reason: 'its queue is full' });
      queueAlerts.lost(client, user);
    },
    onFatal(error) {
      log.fatal({ err: error }, 'the broker ends, for it cannot keep what it is given');
      process.exit(1);
    },
  });
  const queueAlerts = openQueueAlerts(store, topicsFor(base), (topic, text) => {
    const payload = Buffer.from(text);
    const packet = { cmd: 'publish', topic, payload, qos: 1, retain: true, dup: false } as const;
    const stored = store.accept(queueAlerts, packet) ?? Promise.resolve(); // nobody is told what a kill would take back
    stored.then(() => send(packet, () => undefined)).catch(() => undefined); // the broker ends; who loses more in its next life has an alert then
  });
  const limits = openLimits(settings, store);
  const emitter = openEmitter();
  const rules = rulesOf({
    base,
    discovery,
    limits,
    identities,
    store,
    audit,
    count,
    tell,
    log,
    publish: send,
  });
  aedes = await Aedes.createBroker({
    id: store.id, // new at each start and sortable by time
    persistence: persistenceOf(store),
    mq: emitter,
    concurrency: 200, // listeners of a connection before Node warns of a leak
    heartbeatInterval: 10_000,
    connectTimeout: 10_000,
    drainTimeout: 10_000,
    maxTopicLevels: settings.BROKER_TOPIC_LEVELS,
    ...loginOf({ base, users, revoked, identities, limits, live, count, tell, log }),
    ...rules,
  });
  const levels = settings.BROKER_TOPIC_LEVELS;
  const forward = rules.authorizeForward;
  const shortWay = openShortWay({ base, levels, emitter, identities, count, forward });
  aedes.on('subscribe', (subscriptions, client) =>
    shortWay.know(
      client,
      subscriptions.map(({ topic }) => topic),
    ),
  );
  // those of a session that was kept
  aedes.on('clientReady', (client) => shortWay.know(client));
  aedes.on('unsubscribe', (gone, client) => limits.unsubscribed(client, gone));
  return {
    aedes,
    store,
    shortWay,
    stop() {
      live.stop();
      stopTelling();
      queueAlerts.stop();
      return audit.close();
    },
  };
}

/** Runs the embedded broker on the listeners that the settings name. */
export async function runBroker(settings: Settings): Promise<{ ports: number[]; close(): Promise<void> }> {
  const log = createLog(settings.LOG_LEVEL, 'broker');
  const stats = createStats(log);
  const { aedes, store, shortWay, stop: stopBroker } = await createBroker(settings, log, stats);
  const endBroker = async () => {
    keepWills(aedes);
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    await stopBroker();
    await store.close();
    log.flush();
  };
  const take = (stream: Duplex) => void aedes.handle(stream);
  const listeners = await openListeners(settings, { log, stats, take, short: shortWay.take }).catch(
    async (error: unknown) => {
      await endBroker();
      throw error;
    },
  );
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
