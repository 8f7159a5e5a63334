import type { AedesOptions, Client } from 'aedes';
import { type Identity, mayPublish } from './access.ts';
import type { Emitter, Listener } from './emitter.ts';
import type { Count } from './stats.ts';

/** What the contract says with QoS 0; all else goes the long way, so that order and audit are as aedes has them. */
const ENDS = /\/(metrics|progress)$/;

type Inner = Omit<Client, 'subscriptions'> & {
  connackSent: boolean;
  subscriptions: Record<string, { func?: Listener }>;
  _keepaliveInterval: number;
  _keepaliveTimer: { refresh(): void };
};

/**
 * The way of metrics and progress past aedes, which takes each message apart and puts it together for every hearer: the
 * bytes as they came go to those that hear the topic and may. What is not plain in every point is left to aedes.
 */
export function openShortWay(options: {
  base: string;
  levels: number;
  emitter: Emitter;
  identities: WeakMap<object, Identity>;
  count: Count;
  forward: Required<AedesOptions>['authorizeForward'];
}) {
  const { base, levels, emitter, identities, count, forward } = options;
  /** By the function with which aedes subscribes it. */
  const owners = new WeakMap<Listener, Inner>();

  return {
    /** A client subscribed to these filters, or to all that it has; until that is known messages for it go the long way. */
    know(client: Client, filters?: string[]): void {
      const inner = client as unknown as Inner;
      filters ??= Object.keys(inner.subscriptions);
      for (const filter of filters) {
        const listener = inner.subscriptions[filter]?.func;
        if (listener) owners.set(listener, inner);
      }
    },
    /** A whole PUBLISH of QoS 0, not retained, of `head` bytes before its topic. False: aedes must take it. */
    take(stream: object, packet: Buffer, head: number): boolean {
      const client = (stream as { client?: Inner }).client;
      if (!client?.connected || !client.connackSent || client.closed) return false;
      const who = identities.get(client);
      if (!who || packet.length < head + 2) return false;
      const end = head + 2 + packet.readUInt16BE(head);
      if (end > packet.length) return false;
      const topic = packet.toString('utf8', head + 2, end);
      if (!ENDS.test(topic) || /[+#\0\uFFFD]/.test(topic) || topic.split('/').length > levels) return false;
      if (!mayPublish(base, who, topic)) return false;
      const hearers = new Set<Inner>();
      for (const listeners of emitter.hearers(topic)) {
        for (const listener of listeners) {
          const hearer = owners.get(listener);
          if (!hearer) return false;
          hearers.add(hearer);
        }
      }
      count('publishReceived');
      if (client._keepaliveInterval > 0) client._keepaliveTimer.refresh();
      for (const hearer of hearers)
        if (hearer.connected && !hearer.closed && forward(hearer as never, { topic, qos: 0 } as never))
          hearer.conn.write(packet);
      return true;
    },
  };
}
export type ShortWay = ReturnType<typeof openShortWay>;
