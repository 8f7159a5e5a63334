import type { DatabaseSync } from 'node:sqlite';
import type { Journal } from './journal.ts';
import { type Message, copyOf, own } from './message.ts';

interface Noted {
  client: string;
  packet: Message;
}

export function readIncoming(db: DatabaseSync): Noted[] {
  return db
    .prepare('SELECT * FROM incoming')
    .all()
    .map((row) => {
      const packet = {
        cmd: 'publish',
        topic: String(row['topic']),
        payload: own(Buffer.from(row['payload'] as Uint8Array)),
        qos: 2,
        retain: row['retain'] === 1,
      };
      return {
        client: String(row['client']),
        packet: { ...copyOf(packet), messageId: Number(row['message_id']) },
      };
    });
}

/** The packets of QoS 2 that have come and are not released yet, so that one that comes again counts once. */
export function openIncoming(journal: Journal) {
  const clients = new Map<string, Map<number, Message>>();
  const place = ({ client, packet }: Noted) =>
    clients.set(
      client,
      (clients.get(client) ?? new Map<number, Message>()).set(packet.messageId ?? 0, packet),
    );
  return {
    load: (all: Noted[]) => all.forEach(place),
    put(client: string, packet: Message): void {
      place({ client, packet });
      const id = packet.messageId ?? 0;
      journal.put('incoming', [client, id, packet.topic, own(packet.payload), packet.retain ? 1 : 0]);
    },
    get: (client: string, id = 0): Message | undefined => clients.get(client)?.get(id),
    remove(client: string, id = 0): boolean {
      const known = clients.get(client);
      if (!known?.delete(id)) return false;
      if (known.size === 0) clients.delete(client);
      journal.remove('incoming', [client, id]);
      return true;
    },
    clean(client: string): void {
      for (const id of clients.get(client)?.keys() ?? []) journal.remove('incoming', [client, id]);
      clients.delete(client);
    },
  };
}
