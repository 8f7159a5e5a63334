import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Aedes } from 'aedes';
import type { Log } from '../shared/log.ts';
import type { Store } from './persistence/store.ts';

const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

/** What is counted where it happens, by the topic below $SYS/broker: mosquitto's names where it has one. */
const figures = {
  received: 'messages/received',
  sent: 'messages/sent',
  publishReceived: 'publish/messages/received',
  publishSent: 'publish/messages/sent',
  dropped: 'publish/messages/dropped',
  denied: 'publish/messages/denied',
  subscribeDenied: 'subscriptions/denied',
  clientsDenied: 'clients/denied',
  expired: 'clients/expired',
  retainedRefused: 'retained messages/refused',
} as const;
export type Figure = keyof typeof figures;
/** Counts one; with a sentence it is logged as well, each sentence about the same at most once a minute. */
export type Count = (figure: Figure, about?: Record<string, unknown>, sentence?: string) => void;

const MINUTE = 60_000;

/** The broker's own figures: counted here, published below $SYS/broker by `start`. */
export function createStats(log: Log) {
  const counts = Object.fromEntries(Object.keys(figures).map((key) => [key, 0])) as Record<Figure, number>;
  const said = new Map<string, { at: number; since: number }>();
  const sockets = new Set<Socket>();
  const bytes = { received: 0, sent: 0 };
  const born = Date.now();
  let most = 0;

  const count: Count = (figure, about, sentence) => {
    counts[figure]++;
    if (!about || !sentence) return;
    const key = `${sentence} ${Object.values(about).join(' ')}`;
    const before = said.get(key);
    if (before && Date.now() - before.at < MINUTE) {
      before.since++;
      return;
    }
    if (said.size > 10_000) said.clear();
    said.set(key, { at: Date.now(), since: 0 });
    log.warn({ ...about, ...(before?.since ? { unsaid: before.since } : {}) }, sentence);
  };

  function now(aedes: Aedes, store: Store): Record<string, number | string> {
    let [received, sent] = [bytes.received, bytes.sent];
    for (const socket of sockets)
      [received, sent] = [received + socket.bytesRead, sent + socket.bytesWritten];
    const connected = aedes.connectedClients;
    most = Math.max(most, connected);
    const away = store.sessions.away();
    return {
      ...Object.fromEntries(Object.entries(figures).map(([key, topic]) => [topic, counts[key as Figure]])),
      version: `vs-tools version ${version}`,
      uptime: `${Math.floor((Date.now() - born) / 1000)} seconds`,
      'clients/connected': connected,
      'clients/disconnected': away,
      'clients/total': connected + away,
      'clients/maximum': most,
      'bytes/received': received,
      'bytes/sent': sent,
      'subscriptions/count': Object.values(
        (aedes as unknown as { clients: Record<string, { subscriptions: object }> }).clients,
      ).reduce((sum, one) => sum + Object.keys(one.subscriptions).length, 0),
      'retained messages/count': store.retained.count,
      'queued messages/count': store.queues.count,
      'store/messages/count': store.retained.count + store.queues.count,
      'store/messages/bytes': store.retained.bytes + store.queues.bytes,
      'heap/current': process.memoryUsage().heapUsed,
    };
  }

  return {
    count,
    /** Follows the bytes of a connection. */
    follow(socket: Socket): void {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        bytes.received += socket.bytesRead;
        bytes.sent += socket.bytesWritten;
      });
    },
    /** Publishes the figures, retained, now and every so many seconds; ends with what it returns. */
    start(aedes: Aedes, store: Store, seconds: number): () => void {
      aedes.on('connackSent', () => count('sent'));
      aedes.on('ping', () => count('sent'));
      aedes.on('subscribe', () => count('sent'));
      aedes.on('unsubscribe', (_, client) => !client.closed && count('sent'));
      aedes.on('publish', (packet, client) => client && packet.qos > 0 && count('sent'));
      aedes.on('client', () => (most = Math.max(most, aedes.connectedClients)));
      const tell = () => {
        for (const [topic, figure] of Object.entries(now(aedes, store)))
          aedes.publish(
            {
              cmd: 'publish',
              topic: `$SYS/broker/${topic}`,
              payload: Buffer.from(String(figure)),
              qos: 0,
              retain: true,
              dup: false,
            },
            () => undefined,
          );
      };
      tell();
      const timer = setInterval(tell, seconds * 1000);
      return () => clearInterval(timer);
    },
  };
}
export type Stats = ReturnType<typeof createStats>;
