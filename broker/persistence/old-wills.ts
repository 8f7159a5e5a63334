import type { Aedes, PublishPacket } from 'aedes';
import type { Log } from '../../shared/log.ts';
import type { Message } from './message.ts';
import type { Store } from './store.ts';

/**
 * Publishes, some seconds after the start, the wills of clients that were connected when the broker ended and did not
 * come back; a retained one not over what was published on its topic since. aedes would do so too, after 40 seconds. Ends
 * with what it returns.
 */
export function publishOldWills(aedes: Aedes, store: Store, log: Log, seconds: number): () => void {
  const timer = setTimeout(() => {
    for (const will of store.oldWills()) {
      log.info({ client: will.clientId, topic: will.topic }, 'the will of a client that did not come back');
      const { topic, payload, qos, retain } = will;
      const packet = { cmd: 'publish', topic, payload, qos, retain, dup: false } as PublishPacket;
      const publish = () =>
        aedes.publish(packet, (error) => {
          if (!error) store.wills.remove({ id: will.clientId ?? '' });
        });
      Promise.resolve(store.accept(will, packet as Message)).then(publish, () => undefined);
    }
  }, seconds * 1000);
  return () => clearTimeout(timer);
}

/**
 * Before an orderly end: the wills stay in the database instead of being published, so that a restart is no death of
 * all clients. Those who do not come back are heard of at the next start.
 */
export function keepWills(aedes: Aedes): void {
  const { clients } = aedes as unknown as { clients: Record<string, { will: unknown }> };
  for (const client of Object.values(clients)) client.will = null;
}
