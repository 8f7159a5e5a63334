import type { DatabaseSync } from 'node:sqlite';
import type { Journal } from './journal.ts';
import { type Message, own } from './message.ts';

/** What aedes names a client with: the client itself, or an object with its id only. */
export interface ClientLike {
  id: string;
  closed?: boolean;
  conn?: unknown;
}
interface Will {
  packet: Message;
  owner?: ClientLike;
}

export function readWills(db: DatabaseSync): Message[] {
  return db
    .prepare('SELECT * FROM wills')
    .all()
    .map((row) => ({
      cmd: 'publish',
      clientId: String(row['client']),
      brokerId: String(row['broker']),
      topic: String(row['topic']),
      payload: own(Buffer.from(row['payload'] as Uint8Array)),
      qos: Number(row['qos']),
      retain: row['retain'] === 1,
    }));
}

/** The wills of connected clients, and those that a broker which ended without them has left. */
export function openWills(journal: Journal) {
  const wills = new Map<string, Will>();
  return {
    load(packets: Message[]): void {
      for (const packet of packets) wills.set(packet.clientId ?? '', { packet });
    },
    put(client: ClientLike, packet: Message, brokerId: string): void {
      packet.brokerId = brokerId;
      packet.clientId = client.id;
      wills.set(client.id, { packet, owner: client });
      const payload = own(packet.payload);
      journal.put('wills', [client.id, brokerId, packet.topic, payload, packet.qos, packet.retain ? 1 : 0]);
    },
    get: (client: ClientLike): Message | undefined => wills.get(client.id)?.packet,
    /**
     * Removes the will of a client. aedes does so also when the connection before has ended, and then names the id
     * only: the will of a connection that took the id over stays.
     */
    remove(client: ClientLike): Message | undefined {
      const will = wills.get(client.id);
      const owner = will?.owner;
      if (!will || (owner && owner !== client && !client.conn && owner.closed === false)) return undefined;
      wills.delete(client.id);
      journal.remove('wills', [client.id]);
      return will.packet;
    },
    list: (): Message[] => [...wills.values()].map((will) => will.packet),
  };
}
