import type { Topics } from '../shared/contract/topics.ts';
import type { Store } from './persistence/store.ts';

const EVERY_MS = 1000;
const CHECK = 'queue-';
type Publish = (topic: string, payload: string) => void;

/**
 * An alert for each client whose full queue lost a message of QoS 1, retained until that queue is empty or its session over;
 * those of an earlier life of the broker are followed on. Ends with `stop`.
 */
export function openQueueAlerts(store: Pick<Store, 'queues' | 'retained'>, topics: Topics, publish: Publish) {
  const topicOf = (client: string) =>
    topics.alert('master', 'broker', CHECK + client.replaceAll(/[^\w-]/g, '_').slice(0, 60));
  const firing = new Map<string, string>();
  for (const { topic, payload } of store.retained.matching([topics.alert('master', 'broker', '+')])) {
    const { client } = JSON.parse(payload.toString()) as { client?: string };
    if (client !== undefined && topic === topicOf(client)) firing.set(client, topic);
  }
  const timer = setInterval(() => {
    for (const [client, topic] of firing) {
      if (store.queues.lengthOf(client) > 0) continue;
      firing.delete(client);
      publish(topic, '');
    }
  }, EVERY_MS).unref();
  return {
    /** The queue of this client was full, and a message for it is lost. */
    lost(client: string, user: string | undefined): void {
      if (firing.has(client)) return;
      firing.set(client, topicOf(client));
      const message = `the queue of ${client} is full, and messages of QoS 1 for it are lost: let it connect and read, raise BROKER_QUEUE_MESSAGES, or end its session`;
      const alert = { ts: Date.now(), severity: 'warning', message, client, user };
      setImmediate(() => publish(topicOf(client), JSON.stringify(alert))); // never inside what it tells of
    },
    stop: () => clearInterval(timer),
  };
}
