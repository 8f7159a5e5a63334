import type { DatabaseSync } from 'node:sqlite';
import type { Journal } from './journal.ts';
import { type Message, copyOf, own, sizeOf } from './message.ts';

export interface Item {
  seq: number;
  client: string;
  packet: Message;
  bytes: number;
  number?: string | undefined;
}
interface Queue {
  items: Map<number, Item>;
  /** By the number the broker gave the packet: how aedes says which of them it delivers. */
  byNumber: Map<string, Item>;
  bytes: number;
}
export interface QueueLimits {
  messages: number;
  bytes: number;
}

const numberOf = (packet: Message): string | undefined =>
  packet.brokerCounter ? `${packet.brokerId} ${packet.brokerCounter}` : undefined;

/** What comes from the database has no number of this broker's life; its place in the queue is one. */
const STORED = 'stored';

/** The rows of the queue table, as they were before the broker started. */
export function readQueue(db: DatabaseSync): Item[] {
  return db
    .prepare('SELECT * FROM queue ORDER BY seq')
    .all()
    .map((row) => {
      const seq = Number(row['seq']);
      const messageId = row['message_id'] === null ? undefined : Number(row['message_id']);
      const packet = {
        ...copyOf({
          cmd: String(row['cmd']),
          brokerId: STORED,
          brokerCounter: seq,
          topic: String(row['topic']),
          payload: Buffer.from((row['payload'] as Uint8Array | null) ?? []),
          qos: Number(row['qos']),
          retain: false,
        }),
        messageId,
      };
      return { seq, client: String(row['client']), packet, bytes: sizeOf(packet) };
    });
}

/**
 * The messages of QoS 1 and 2 that clients with a session have not acknowledged, in memory and in the journal. A full
 * queue refuses the newest; `refused` hears of each.
 */
export function openQueues(
  journal: Journal,
  limits: QueueLimits,
  refused: (client: string, topic: string) => void,
) {
  const queues = new Map<string, Queue>();
  let last = 0;
  let count = 0;
  let bytes = 0;

  function place(item: Item): void {
    let queue = queues.get(item.client);
    if (!queue) queues.set(item.client, (queue = { items: new Map(), byNumber: new Map(), bytes: 0 }));
    queue.items.set(item.seq, item);
    item.number = numberOf(item.packet);
    if (item.number) queue.byNumber.set(item.number, item);
    queue.bytes += item.bytes;
    last = Math.max(last, item.seq);
    count++;
    bytes += item.bytes;
  }

  function write({ seq, client, packet }: Item): void {
    const id = packet.messageId ?? null;
    if (packet.cmd !== 'publish') journal.put('queue', [seq, client, packet.cmd, null, null, null, id]);
    else journal.put('queue', [seq, client, packet.cmd, packet.topic, own(packet.payload), packet.qos, id]);
  }

  function find(queue: Queue, packet: Message): Item | undefined {
    const number = numberOf(packet);
    const known = number ? queue.byNumber.get(number) : undefined;
    if (known || packet.messageId === undefined) return known;
    for (const item of queue.items.values()) if (item.packet.messageId === packet.messageId) return item;
    return undefined;
  }

  return {
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    load: (items: Item[]) => items.forEach(place),
    /** Queues a packet once for a client; undefined when the queue is full. */
    add(client: string, packet: Message): Item | undefined {
      const queue = queues.get(client);
      const item = {
        seq: last + 1,
        client,
        packet: { ...copyOf(packet), retain: false },
        bytes: sizeOf(packet),
      };
      if (
        queue &&
        (queue.items.size >= limits.messages || queue.bytes + item.bytes > limits.bytes) &&
        queue.items.size > 0
      ) {
        refused(client, packet.topic);
        return undefined;
      }
      place(item);
      write(item);
      return item;
    },
    /** Tells an item that was queued before its packet had one which number it got. */
    name(item: Item, packet: Message): void {
      item.packet.brokerId = packet.brokerId ?? '';
      item.packet.brokerCounter = packet.brokerCounter ?? 0;
      item.number = numberOf(packet);
      const queue = queues.get(item.client);
      if (item.number && queue?.items.has(item.seq)) queue.byNumber.set(item.number, item);
    },
    has: (client: string, packet: Message): boolean =>
      queues.get(client)?.byNumber.has(numberOf(packet) ?? '') ?? false,
    /** A packet is being delivered under a message id, or became a PUBREL; one that is not queued is left alone. */
    update(client: string, packet: Message): void {
      const queue = queues.get(client);
      const item = queue && find(queue, packet);
      if (!item) return;
      if (packet.cmd === 'publish' || packet.cmd === undefined) item.packet.messageId = packet.messageId;
      else item.packet = packet;
      write(item);
    },
    /**
     * Takes out what was acknowledged, or what is not to be sent from the queue. aedes also calls this, without a
     * message id, for a packet that it does not deliver a second time (overlapping subscriptions): that one stays.
     */
    clear(client: string, packet: Message): Message | undefined {
      if (packet.messageId === undefined) return undefined;
      const queue = queues.get(client);
      const item = queue && find(queue, packet);
      if (!queue || !item) return undefined;
      queue.items.delete(item.seq);
      if (item.number) queue.byNumber.delete(item.number);
      queue.bytes -= item.bytes;
      count--;
      bytes -= item.bytes;
      if (queue.items.size === 0) queues.delete(client);
      journal.remove('queue', [item.seq]);
      return item.packet;
    },
    lengthOf: (client: string): number => queues.get(client)?.items.size ?? 0,
    list: (client: string): Message[] =>
      [...(queues.get(client)?.items.values() ?? [])].map((item) => item.packet),
    drop(client: string): void {
      const queue = queues.get(client);
      if (!queue) return;
      for (const seq of queue.items.keys()) journal.remove('queue', [seq]);
      count -= queue.items.size;
      bytes -= queue.bytes;
      queues.delete(client);
    },
    clients: (): Iterable<string> => queues.keys(),
  };
}
export type Queues = ReturnType<typeof openQueues>;
