import { Readable } from 'node:stream';
import { type Message, copyOf } from './message.ts';
import type { Store } from './store.ts';
import type { Subscription } from './sessions.ts';
import type { ClientLike } from './wills.ts';

/**
 * The store as aedes asks for it: the interface of aedes-persistence 11, whose conformance tests it passes. What is
 * asked between the numbering of a packet and its emission waits for no disk: aedes drops a packet that a later one
 * has overtaken.
 */
export function persistenceOf(store: Store) {
  const { retained, queues, sessions, incoming, wills, journal } = store;
  const taken = new WeakMap<object, string>();
  const persistence = {
    get broker() {
      return store.broker;
    },
    async setup(broker: Parameters<Store['attach']>[0]): Promise<void> {
      store.attach(broker);
    },
    async storeRetained(packet: Message): Promise<void> {
      if (!store.accepted(packet)) retained.store(packet);
    },
    createRetainedStream: (filter: string) => Readable.from(retained.matching([filter])),
    createRetainedStreamCombi: (filters: string[]) => Readable.from(retained.matching(filters)),
    /** aedes calls this for each granted subscription of a packet, and each time with all of them. */
    async addSubscriptions(client: ClientLike, all: Subscription[]): Promise<void> {
      if (taken.get(all) !== client.id) {
        taken.set(all, client.id);
        await Promise.resolve(); // by then all of them are granted or refused
        const granted = all.filter((one) => !store.refused.has(one));
        sessions.add(client.id, store.userOf(client), granted);
      }
      await journal.commit();
    },
    async removeSubscriptions(client: ClientLike, filters: string[]): Promise<void> {
      sessions.remove(client.id, filters);
      await journal.commit();
    },
    async subscriptionsByClient(client: ClientLike): Promise<Subscription[]> {
      return sessions.of(client.id);
    },
    async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
      return { subsCount: sessions.subscriptions, clientsCount: sessions.count };
    },
    async subscriptionsByTopic(topic: string): Promise<(Subscription & { clientId: string })[]> {
      return [...sessions.matching(topic)];
    },
    async cleanSubscriptions(client: ClientLike): Promise<void> {
      store.forget(client.id);
      await journal.commit();
    },
    outgoingEnqueue: (to: { clientId: string }, packet: Message): Promise<void> =>
      persistence.outgoingEnqueueCombi([to], packet),
    async outgoingEnqueueCombi(to: { clientId: string }[], packet: Message): Promise<void> {
      const items = store.accepted(packet);
      if (items) for (const item of items) queues.name(item, packet);
      else store.enqueue(to, packet);
    },
    async outgoingUpdate(client: ClientLike, packet: Message): Promise<void> {
      queues.update(client.id, packet);
    },
    async outgoingClearMessageId(client: ClientLike, packet: Message): Promise<Message | undefined> {
      return queues.clear(client.id, packet);
    },
    outgoingStream: (client: ClientLike) => Readable.from(queues.list(client.id)),
    /** QoS 2: what the packet does is stored with the note that it came, in one transaction, before its PUBREC. */
    async incomingStorePacket(client: ClientLike, packet: Message): Promise<void> {
      store.take(packet);
      incoming.put(client.id, { ...copyOf(packet), messageId: packet.messageId });
      await journal.commit();
    },
    async incomingGetPacket(client: ClientLike, packet: Message): Promise<Message> {
      const known = incoming.get(client.id, packet.messageId);
      if (!known) throw new Error('no such packet');
      return known;
    },
    async incomingDelPacket(client: ClientLike, packet: Message): Promise<void> {
      if (!incoming.remove(client.id, packet.messageId)) throw new Error('no such packet');
    },
    async cleanIncoming(client: ClientLike): Promise<void> {
      incoming.clean(client.id);
    },
    async putWill(client: ClientLike, packet: Message): Promise<void> {
      wills.put(client, packet, store.broker.id);
      await journal.commit();
    },
    async getWill(client: ClientLike): Promise<Message | undefined> {
      return wills.get(client);
    },
    async delWill(client: ClientLike): Promise<Message | undefined> {
      return wills.remove(client);
    },
    /** aedes asks with the brokers that live; this one lives also when its heartbeat came late. */
    streamWill: (brokers?: Record<string, unknown>) =>
      Readable.from(
        brokers ? store.oldWills().filter((will) => !brokers[will.brokerId ?? '']) : wills.list(),
      ),
    getClientList: (filter: string) => Readable.from(sessions.clientsOf(filter)),
    destroy: (): Promise<void> => store.close(),
  };
  return persistence;
}
