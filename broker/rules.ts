import type { Socket } from 'node:net';
import type { Aedes, AedesOptions } from 'aedes';
import type { Log } from '../shared/log.ts';
import { type Identity, mayPublish, mayRead, maySubscribe } from './access.ts';
import type { DiscoveryAccess } from './discovery-access.ts';
import type { Audit } from './audit.ts';
import type { Message } from './persistence/message.ts';
import type { Store } from './persistence/store.ts';
import type { Count } from './stats.ts';
import { type Tell, reasonFor } from './tell.ts';

/** A refused publish goes here: taken and acknowledged, delivered to nobody (measured.md, G5). */
const NOWHERE = '$denied/publish';
const MB = 1024 * 1024;

/** Whose will is published after the broker's restart, which knows its client id only. */
const nobody: Identity = {
  name: '',
  clientId: '',
  role: 'custom',
  read: [],
  write: [],
  address: 'a last will',
};

/** What may pass, as aedes asks for it: on publish, on subscribe and on delivery. */
export function rulesOf(options: {
  base: string;
  discovery: DiscoveryAccess;
  identities: WeakMap<object, Identity>;
  store: Store;
  audit: Audit;
  count: Count;
  tell: Tell;
  log: Log;
  publish: Aedes['publish'];
}): Required<Pick<AedesOptions, 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward'>> {
  const { base, discovery, identities, store, audit, count, tell, log, publish } = options;
  return {
    authorizePublish(client, packet, done) {
      const who = client && identities.get(client);
      if (client && !client.closed) count('publishReceived'); // else it is a will
      // No client: an old will, which was checked when it was given.
      const may = (one: Identity) =>
        mayPublish(base, one, packet.topic, packet.payload.length === 0) ||
        discovery.mayPublish(one, packet.topic);
      if (client === null || (who && may(who))) {
        const by = who ?? { ...nobody, clientId: (packet as Message).clientId ?? '' };
        audit.command(by, packet.topic, packet.payload, false);
        audit.reply(packet.topic, packet.payload);
        const stored = store.accept(client ?? packet, packet as Message);
        if (!stored) return done(null);
        const isWill = client === null || client.closed;
        stored.then(() => {
          // Its sender went meanwhile: aedes would not deliver what is stored now.
          if (!isWill && !client.connected && !client.connecting) publish(packet, () => done(null));
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
      const { topic } = subscription;
      const may = who && (maySubscribe(base, who, topic) || discovery.mayRead(who, topic));
      if (may && !topic.startsWith('$denied')) return done(null, subscription);
      const about = { user: who?.name, client: client.id, topic: subscription.topic };
      count('subscribeDenied', about, 'subscribe refused');
      tell('subscribe-refused', { ...about, address: who?.address, reason: reasonFor(who) });
      done(null, null);
    },
    authorizeForward(client, packet) {
      const who = identities.get(client);
      if (!who || !(mayRead(base, who, packet.topic) || discovery.mayRead(who, packet.topic))) return null;
      const waiting = (client.conn as Socket).writableLength;
      if (waiting > 8 * MB) {
        log.warn({ client: client.id, waiting }, 'a client that does not read was disconnected');
        client.conn.destroy();
        return null;
      }
      if (packet.qos === 0 && waiting > MB) {
        count('dropped', { client: client.id }, 'QoS 0 for a client that reads too slowly is dropped');
        return null;
      }
      count('sent');
      count('publishSent');
      return packet;
    },
  };
}
