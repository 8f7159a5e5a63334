import mqtt, { type Packet } from 'mqtt-packet';
import { openSocket } from '../shared/bus/wire.ts';
import { matches } from '../shared/contract/topics.ts';
import { VsError } from '../shared/errors.ts';
import { parseJson } from '../shared/json.ts';
import type { ClientSettings } from './settings.ts';

export type OnMessage = (topic: string, payload: unknown, retained: boolean) => void;

/** A connection to a broker for the life of one command: everything is written at once, without waiting for acknowledgements. */
export interface Connection {
  /** Resolves once the broker has let this client in. */
  ready: Promise<void>;
  /** Rejects when it ends. */
  lost: Promise<never>;
  /** Why it is over; undefined while it is not. */
  over(): VsError | undefined;
  /** With QoS 1. */
  publish(topic: string, text: string): void;
  /** Resolves once the broker has taken the filters, rejects with 'refused' when it does not. */
  subscribe(filters: string[], onMessage?: OnMessage): Promise<void>;
  close(): void;
}

/** A broker that says nothing for that long is not there (ms); a slow link that loses packets may take seconds. */
const SLOW_MS = 10_000;
const hint =
  'Set BROKER_URL, BROKER_USER and BROKER_PASSWORD_FILE in vs-tools.conf; for a lab: eval "$(./vs lab env)"';

/** Null for nothing, undefined for what is no JSON. */
function payloadOf(text: string): unknown {
  try {
    return text === '' ? null : parseJson(text);
  } catch {
    return undefined;
  }
}

// Without this mqtt-packet makes 65536 buffers before the first packet, 100 ms of every command.
mqtt.writeToStream.cacheNumbers = false;

/** Connects; returns at once, what fails shows in `ready` and `lost`. `mine` takes what is for this client alone, and tells so. */
export async function openConnection(
  settings: ClientSettings,
  clientId: string,
  mine: (topic: string, payload: unknown) => boolean,
): Promise<Connection> {
  const who = settings.user || 'operator';
  // A cluster of NATS takes half a second to prepare each subscription of QoS 1, which is for longer lives than this one.
  const qos = settings.kind === 'nats' ? 0 : 1;
  const socket = settings.url.startsWith('mqtts:')
    ? (await import('../shared/bus/tls.ts')).openTls(settings.url, settings)
    : openSocket(settings.url);
  const parser = mqtt.parser();
  const listeners: { filters: string[]; onMessage: OnMessage }[] = [];
  const granted = new Map<number, (codes: readonly unknown[]) => void>();
  let messageId = 1;
  let over: VsError | undefined;
  let connected = false;
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  lost.catch(() => undefined);
  const { promise: ready, resolve: isReady, reject: notReady } = Promise.withResolvers<void>();
  ready.catch(() => undefined);

  const send = (packet: Packet) => void (socket.destroyed || socket.write(mqtt.generate(packet)));
  const nextId = () => (messageId = (messageId % 65_535) + 1);

  function whyRefused(code: number): string {
    if (code === 4 || code === 5)
      return settings.cert ? `it refuses the client certificate ${settings.cert}` : 'wrong user or password';
    return code === 2 && settings.cert
      ? 'BROKER_USER must be the common name of the client certificate'
      : `return code ${code}`;
  }
  function end(error: VsError): void {
    over ??= error;
    clearTimeout(slow);
    clearInterval(alive);
    lose(over);
    notReady(over);
    socket.destroy();
  }
  const unavailable = (message: string) => end(new VsError('unavailable', message, { retryable: true }));

  const slow = setTimeout(
    () => unavailable(`The broker at ${settings.url} does not answer. ${hint}`),
    SLOW_MS,
  );
  const alive = setInterval(() => send({ cmd: 'pingreq' }), 20_000);
  alive.unref();
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error instanceof VsError) return end(error); // a sentence already
    unavailable(
      connected
        ? `The connection to the broker at ${settings.url} broke: ${error.code ?? error.message}.`
        : `No broker answers at ${settings.url} (${error.code ?? error.message}). ${hint}`,
    );
  });
  socket.on('close', () => unavailable(`The broker at ${settings.url} closed the connection. ${hint}`));
  socket.on('data', (chunk) => parser.parse(Buffer.from(chunk)));
  parser.on('error', () => unavailable(`What answers at ${settings.url} is no MQTT broker. ${hint}`));
  parser.on('packet', (packet: Packet) => {
    if (packet.cmd === 'connack') {
      clearTimeout(slow);
      connected = packet.returnCode === 0;
      if (connected) isReady();
      else
        unavailable(
          `The broker at ${settings.url} refuses the user "${settings.user}": ${whyRefused(packet.returnCode ?? 0)}. ${hint}`,
        );
    } else if (packet.cmd === 'suback') {
      granted.get(packet.messageId ?? 0)?.(packet.granted);
    } else if (packet.cmd === 'publish') {
      if (packet.qos === 1) send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
      take(packet.topic, payloadOf(packet.payload.toString()), packet.retain);
    }
  });

  function take(topic: string, payload: unknown, retained: boolean): void {
    if (mine(topic, payload)) return;
    for (const { filters, onMessage } of listeners) {
      if (filters.some((filter) => matches(filter, topic))) onMessage(topic, payload, retained);
    }
  }

  function subscribe(filters: string[], onMessage?: OnMessage): Promise<void> {
    if (onMessage) listeners.push({ filters, onMessage });
    const number = nextId();
    const done = new Promise<void>((resolve, reject) =>
      granted.set(number, (codes) => {
        const refused = filters.filter((_, index) => codes[index] === 128);
        if (refused.length === 0) resolve();
        else reject(new VsError('refused', `The broker lets ${who} not hear ${refused.join(', ')}.`));
      }),
    );
    send({
      cmd: 'subscribe',
      messageId: number,
      subscriptions: filters.map((topic) => ({ topic, qos })),
    });
    return Promise.race([done, lost]);
  }

  send({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId,
    keepalive: 60,
    ...(settings.user ? { username: settings.user, password: Buffer.from(settings.password) } : {}),
  });

  return {
    ready,
    lost,
    over: () => over,
    subscribe,
    publish: (topic, text) =>
      send({ cmd: 'publish', topic, payload: text, qos: 1, messageId: nextId(), dup: false, retain: false }),
    close() {
      over ??= new VsError('unavailable', 'The connection was closed.');
      clearTimeout(slow);
      clearInterval(alive);
      send({ cmd: 'disconnect' });
      socket.removeAllListeners('close');
      socket.end();
      socket.unref();
    },
  };
}
