import { MqttClient } from 'mqtt';
import packets from 'mqtt-packet';
import { VsError } from '../errors.ts';
import type { Log } from '../log.ts';
import { backoffMs } from './backoff.ts';
import { type TlsFiles, certificateRefused, openTls } from './tls.ts';
import { MAX_PAYLOAD, brokerUrls, openSocket } from './wire.ts';

/** A broker without its majority takes a message and says nothing for ever (measured.md, NATS): what waits longer is lost. */
const ACK_MS = 15_000;
/** A connection that held so long was a good one: the next loss begins with the shortest wait. */
const STABLE_MS = 10_000;

// Without this mqtt-packet keeps 65536 buffers with the numbers of two bytes, 8 MB of every process.
packets.writeToStream.cacheNumbers = false;

export interface Connection {
  readonly connected: boolean;
  /** BROKER_URL names several nodes. */
  readonly cluster: boolean;
  /** Resolves when the broker has it. Rejects with 'unavailable' (away, or lost before), 'deadline' (no PUBACK), 'usage' (too long). */
  send(topic: string, text: string, qos: 0 | 1, retain: boolean): Promise<void>;
  /** Resolves with the filters that the broker refused. */
  subscribe(filters: string[]): Promise<string[]>;
  unsubscribe(filter: string): Promise<void>;
  /** Says good-bye, so that no last will is carried out, and connects anew; files of certificates are read again. */
  reconnect(): void;
  end(): Promise<void>;
}

/** The MQTT client of a bus: the only importer of mqtt. Connects at once and again after each loss. */
export function openConnection(options: {
  /** BROKER_URL: one broker, or the nodes of a cluster, of which one will do. */
  url: string;
  /** For mqtts:// */
  tls: TlsFiles;
  clientId: string;
  username: string;
  password: string;
  will?: { topic: string; text: string };
  /** The broker keeps the session, and what is for it, while it is away; needs a client id that stays. */
  kept?: boolean;
  log: Log;
  onConnect: () => void;
  onLost: () => void;
  onMessage: (topic: string, payload: Buffer, retained: boolean) => void;
}): Connection {
  const { clientId, log } = options;
  const urls = brokerUrls(options.url);
  let tries = 0;
  /** Of the node that is tried now. */
  let url = urls[0] ?? '';
  function open() {
    url = urls[tries++ % urls.length] ?? url;
    return url.startsWith('mqtts:') ? openTls(url, options.tls) : openSocket(url);
  }
  const client = new MqttClient(open, {
    clientId,
    clean: options.kept !== true,
    protocolId: 'MQTT',
    protocolVersion: 4,
    username: options.username,
    password: options.password,
    keepalive: 10, // seconds: a broker that lost its power says nothing
    connectTimeout: 10_000,
    reconnectPeriod: backoffMs(0),
    reconnectOnConnackError: true, // a user may be known later, and limits end
    resubscribe: false,
    queueQoSZero: false,
    ...(options.will
      ? {
          will: {
            topic: options.will.topic,
            payload: Buffer.from(options.will.text),
            qos: 1 as const,
            retain: true,
          },
        }
      : {}),
  });
  const inFlight = new Set<(error: VsError) => void>();
  let failed = 0;
  let stable: NodeJS.Timeout | undefined;
  let silent = false;
  let up = false;
  let ending = false;

  client.on('reconnect', () => (client.options.reconnectPeriod = backoffMs(++failed)));
  client.on('connect', () => {
    up = true;
    log.info({ url, clientId }, 'connected to the broker');
    stable = setTimeout(() => {
      failed = 0;
      client.options.reconnectPeriod = backoffMs(0);
    }, STABLE_MS).unref();
    options.onConnect();
  });
  client.on('close', () => {
    clearTimeout(stable);
    for (const fail of inFlight)
      fail(
        new VsError('unavailable', `the connection to the broker at ${url} was lost`, { retryable: true }),
      );
    if (!up) return;
    up = false;
    log.debug('connection to the broker closed');
    options.onLost();
  });
  client.on('error', (error) => log.warn({ error: reasonOf(error), url }, 'broker connection'));
  client.on('message', (topic, payload, packet) => options.onMessage(topic, payload, packet.retain));

  function reasonOf(error: Error & { code?: unknown }): string {
    const refused = error.code === 4 || error.code === 5; // of CONNACK
    return refused && options.tls.cert ? certificateRefused(url, options.tls.cert) : error.message;
  }
  /** Settles with what `begin` reports, when the connection is lost, or when nothing comes for too long. */
  function answered<T>(what: string, begin: (settle: (error: Error | undefined, value: T) => void) => void) {
    return new Promise<T>((resolve, reject) => {
      const fail = (error: Error) => {
        clearTimeout(timer);
        inFlight.delete(fail);
        reject(error);
      };
      const timer = setTimeout(() => {
        const message = `the broker at ${url} did not acknowledge ${what} within ${ACK_MS / 1000} s`;
        if (!silent) log.warn({ url }, message); // once, until it speaks again
        silent = true;
        fail(new VsError('deadline', message, { retryable: true }));
        if (urls.length > 1) client.stream.destroy(); // this node may have lost the others: the next one has not
      }, ACK_MS);
      inFlight.add(fail);
      begin((error, value) => {
        if (error) return fail(error);
        silent = false;
        clearTimeout(timer);
        inFlight.delete(fail);
        resolve(value);
      });
    });
  }

  return {
    get connected() {
      return client.connected;
    },
    cluster: urls.length > 1,
    async send(topic, text, qos, retain) {
      const bytes = Buffer.byteLength(text);
      if (bytes > MAX_PAYLOAD)
        throw new VsError(
          'usage',
          `a message of ${bytes} bytes on ${topic} is over the limit of ${MAX_PAYLOAD}`,
        );
      if (!client.connected || ending)
        throw new VsError('unavailable', `the broker at ${url} is not reachable`, { retryable: true });
      if (qos === 0) {
        client.publish(topic, text, { qos, retain });
        return;
      }
      let messageId = 0;
      try {
        await answered<void>(`a message on ${topic}`, (settle) => {
          client.publish(topic, text, { qos, retain }, (error) => settle(error, undefined));
          messageId = client.getLastMessageId();
        });
      } catch (error) {
        // mqtt.js would send it again at each connect, before anything else and until it is acknowledged: one message that
        // a broker will not have would block all others for ever. Whose message it is knows what to do.
        client.removeOutgoingMessage(messageId);
        throw error;
      }
    },
    subscribe: (filters) =>
      answered<string[]>(`the subscription of ${filters.join(', ')}`, (settle) =>
        client.subscribe(filters, { qos: 1 }, (error, _granted, packet) => {
          const codes = (packet as { granted?: number[] } | undefined)?.granted;
          if (codes)
            settle(
              undefined,
              filters.filter((_filter, index) => ((codes[index] ?? 0x80) & 0x80) !== 0),
            );
          else settle(error ?? undefined, []);
        }),
      ),
    unsubscribe: (filter) =>
      answered<void>(`the end of ${filter}`, (settle) =>
        client.unsubscribe(filter, (error) => settle(error ?? undefined, undefined)),
      ),
    reconnect() {
      if (!client.connected || ending) return; // the next connect reads the files in any case
      client.end(false, () => {
        if (!ending) client.reconnect();
      });
    },
    end() {
      ending = true;
      return client.endAsync(true);
    },
  };
}
