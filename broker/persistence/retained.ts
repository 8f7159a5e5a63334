import type { DatabaseSync } from 'node:sqlite';
import type { Journal } from './journal.ts';
import { type Message, own, sizeOf } from './message.ts';
import { createTopicTree } from './topic-tree.ts';

interface Retained {
  packet: Message;
  bytes: number;
  /** Published before this broker started. */
  old: boolean;
}
export interface RetainedLimits {
  messages: number;
  bytes: number;
}

export function readRetained(db: DatabaseSync): Message[] {
  return db
    .prepare('SELECT * FROM retained')
    .all()
    .map((row) => ({
      cmd: 'publish',
      topic: String(row['topic']),
      payload: own(Buffer.from(row['payload'] as Uint8Array)),
      qos: Number(row['qos']),
      retain: true,
    }));
}

const isSystem = (topic: string): boolean => topic.startsWith('$SYS/');

/** The retained messages, in a topic tree and in the journal; those of $SYS are of this life only. */
export function openRetained(journal: Journal, limits: RetainedLimits, refused: (topic: string) => void) {
  const tree = createTopicTree<Retained>();
  let count = 0;
  let bytes = 0;

  function forget(topic: string): void {
    const known = tree.get(topic);
    if (!known) return;
    tree.delete(topic);
    if (isSystem(topic)) return;
    count--;
    bytes -= known.bytes;
  }
  function keep(packet: Message, old: boolean): void {
    forget(packet.topic);
    const size = sizeOf(packet);
    tree.set(packet.topic, { packet, bytes: size, old });
    if (isSystem(packet.topic)) return;
    count++;
    bytes += size;
  }

  return {
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    load(packets: Message[]): void {
      for (const packet of packets) keep(packet, true);
    },
    /**
     * Takes a retained message over; an empty one clears the topic. Over a limit nothing is retained, not even what
     * was: no state is better than an old one.
     */
    store(packet: Message): void {
      const { topic } = packet;
      const system = isSystem(topic);
      const before = tree.get(topic);
      const much =
        !system &&
        ((!before && count >= limits.messages) ||
          bytes - (before?.bytes ?? 0) + sizeOf(packet) > limits.bytes);
      if (packet.payload.length === 0 || much) {
        forget(topic);
        if (before && !system) journal.remove('retained', [topic]);
        if (packet.payload.length > 0) refused(topic);
        return;
      }
      const payload = own(packet.payload);
      keep({ ...packet, payload }, false);
      if (!system) journal.put('retained', [topic, payload, packet.qos]);
    },
    *matching(filters: string[]): Generator<Message> {
      for (const filter of filters) for (const one of tree.under(filter)) yield one.packet;
    },
    /** Has somebody published on this topic since the broker started? */
    isNew: (topic: string): boolean => tree.get(topic)?.old === false,
  };
}
