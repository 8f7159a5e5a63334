import mqtt, { type Packet } from 'mqtt-packet';
import type { Args, CommandName, Data } from '../shared/contract/commands.ts';
import type { Reply } from '../shared/contract/command.ts';
import {
  MAX_PAYLOAD,
  type RequestOptions,
  TIMEOUT_MS,
  brokerUrls,
  openSocket,
  replyName,
} from '../shared/bus/wire.ts';
import { type Topics, matches, topicsFor } from '../shared/contract/topics.ts';
import { VsError } from '../shared/errors.ts';
import { type ClientSettings, clientSettings } from './settings.ts';

type OnMessage = (topic: string, payload: unknown, retained: boolean) => void;

/** A client for the life of one command: everything is written at once, without waiting for acknowledgements. */
export interface Client {
  topics: Topics;
  request<K extends CommandName>(
    target: string,
    command: K,
    args: Args<K>,
    options?: RequestOptions,
  ): Promise<Data<K>>;
  /** Any service.command, as `vs call` sends it. */
  call(target: string, command: string, args: object, options?: RequestOptions): Promise<unknown>;
  /** Hears topics; resolves once the broker has taken the subscription. */
  subscribe(filters: string[], onMessage: OnMessage): Promise<void>;
  /** Rejects when the connection ends; for commands that follow. */
  lost: Promise<never>;
  close(): void;
}

/** A broker that says nothing for that long is not there (ms); a slow link that loses packets may take seconds. */
const SLOW_MS = 10_000;
const hint =
  'Set BROKER_URL, BROKER_USER and BROKER_PASSWORD_FILE in vs-tools.conf; for a lab: eval "$(./vs lab env)"';

function parseJson(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Without this mqtt-packet makes 65536 buffers before the first packet, 100 ms of every command.
mqtt.writeToStream.cacheNumbers = false;

/** Unique, no secret: node:crypto would cost the 70 ms in which OpenSSL starts. */
const uniqueId = (): string =>
  `${Date.now().toString(36)}${process.pid.toString(36)}${Math.random().toString(36).slice(2, 12)}`;

interface Pending {
  progress: ((progress: Record<string, unknown>) => void) | undefined;
  resolve(data: unknown): void;
  reject(error: VsError): void;
  again(): void;
}

/** How long one node of a cluster may take before the next is tried. */
const NODE_MS = 3000;

/** Connects by the settings; returns at once, what fails shows in the requests. Of a cluster: the first node that answers. */
export async function connect(given?: ClientSettings): Promise<Client> {
  const settings = given ?? (await clientSettings());
  const urls = brokerUrls(settings.url);
  const last = urls.pop() ?? settings.url;
  for (const url of urls) {
    const client = await connectOne({ ...settings, url });
    const there = client.ready.then(
      () => true,
      () => false,
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, NODE_MS, false)));
    if (await Promise.race([there, late])) {
      clearTimeout(timer);
      return client;
    }
    clearTimeout(timer);
    client.close();
  }
  return connectOne({ ...settings, url: last });
}

async function connectOne(settings: ClientSettings): Promise<Client & { ready: Promise<void> }> {
  const topics = topicsFor(settings.base);
  const who = settings.user || 'operator';
  const clientId = `${who}-${uniqueId()}`;
  // A cluster of NATS takes half a second to prepare each subscription of QoS 1, which is for longer lives than this one.
  const qos = settings.kind === 'nats' ? 0 : 1;
  const hears = replyName(settings.kind ?? 'embedded', who, clientId);
  const socket = settings.url.startsWith('mqtts:')
    ? (await import('../shared/bus/tls.ts')).openTls(settings.url, settings)
    : openSocket(settings.url);
  const parser = mqtt.parser();
  const pending = new Map<string, Pending>();
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
    for (const one of pending.values()) one.reject(over);
    pending.clear();
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
      take(packet.topic, parseJson(packet.payload.toString()), packet.retain);
    }
  });

  function take(topic: string, payload: unknown, retained: boolean): void {
    if (topic.endsWith(`/replies/${hears}`)) {
      const answer = payload as Reply | null | undefined;
      const one = answer ? pending.get(answer.id) : undefined;
      if (!answer || !one) return;
      if ('progress' in answer) one.progress?.(answer.progress);
      else if (answer.ok) one.resolve(answer.data);
      else
        one.reject(
          new VsError(answer.error.code, answer.error.message, { retryable: answer.error.retryable }),
        );
      return;
    }
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

  /**
   * A target that is offline, or was never seen, need not be waited for. One that comes online just now has missed the
   * command: it is sent again with the same id, which is carried out once. One that begins another life will not answer.
   */
  function watchTarget(target: string, reject: (error: VsError) => void, sendAgain: () => void): void {
    const name = target === 'master' ? 'The master' : `Host ${target}`;
    let session: string | undefined;
    const asked = Date.now();
    subscribe([topics.status(target)], (_topic, payload, retained) => {
      const now = payload as { state?: string; session?: string } | null;
      if (now?.state === 'offline') {
        if (session === undefined || session === now.session)
          reject(new VsError('unavailable', `${name} is offline and cannot be asked.`, { retryable: true }));
        return;
      }
      if (session !== undefined && session !== now?.session)
        reject(new VsError('unavailable', `${name} restarted before it answered.`, { retryable: true }));
      if (!retained) sendAgain(); // it hears its commands only now, for it or the broker was away
      session = now?.session ?? '';
    }).then(
      () =>
        setTimeout(
          () => {
            if (session !== undefined) return;
            reject(
              target === 'master'
                ? new VsError('unavailable', 'The master does not answer: it never reported to this broker.')
                : new VsError('not-found', `There is no host ${target}; "vs host list" shows the hosts.`),
            );
          },
          700 + 3 * (Date.now() - asked),
        ).unref(), // over a slow link the retained message takes longer, too
      () => undefined,
    );
  }

  function call(target: string, name: string, args: object, options: RequestOptions = {}): Promise<unknown> {
    if (over) return Promise.reject(over);
    const { id = uniqueId(), timeoutMs = TIMEOUT_MS, signal } = options;
    const [service = '', command = ''] = name.split('.');
    const topic = topics.command(target, service, command);
    const deadline = Date.now() + timeoutMs;
    const payload = JSON.stringify({
      id,
      replyTo: topics.reply(target, hears),
      issuer: who,
      deadline,
      args,
    });
    const bytes = Buffer.byteLength(payload);
    if (bytes > MAX_PAYLOAD)
      return Promise.reject(
        new VsError('usage', `A command of ${bytes} bytes is over the limit of ${MAX_PAYLOAD}.`),
      );
    const abandoned = () => new VsError('failed', `${name} on ${target} was given up.`);
    if (signal?.aborted) return Promise.reject(abandoned());
    const publish = (text: string) =>
      send({ cmd: 'publish', topic, payload: text, qos: 1, messageId: nextId(), dup: false, retain: false });
    return new Promise((resolve, reject) => {
      /** Where it runs the work is told to end, too. */
      const giveUp = (error: VsError) => {
        fail(error);
        publish(JSON.stringify({ id, cancel: true, issuer: who }));
      };
      const aborted = () => giveUp(abandoned());
      const timer = setTimeout(() => {
        const message = `${target} did not answer ${name} within ${timeoutMs / 1000} s.`;
        giveUp(new VsError('unavailable', message, { retryable: true }));
      }, timeoutMs);
      signal?.addEventListener('abort', aborted, { once: true });
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        pending.delete(id);
      };
      const fail = (error: VsError) => {
        settle();
        reject(error);
      };
      pending.set(id, {
        progress: options.onProgress,
        resolve: (data) => {
          settle();
          resolve(data);
        },
        reject: fail,
        again: () => publish(payload),
      });
      watchTarget(target, fail, () => publish(payload));
      publish(payload);
    });
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
  /** A cluster that looks for its leader refuses for some seconds (measured.md); what was answered meanwhile is asked again. */
  function hearReplies(before: boolean): void {
    subscribe(topics.replies(hears)).then(
      () => before && pending.forEach((one) => one.again()),
      () => over ?? void setTimeout(hearReplies, 500, true).unref(),
    );
  }
  hearReplies(false);

  return {
    topics,
    lost,
    ready,
    call,
    request: (target, command, args, options) => call(target, command, args as object, options) as never,
    subscribe,
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

/** Connects, does the work, and closes in any case. */
export async function withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect();
  try {
    return await work(client);
  } finally {
    client.close();
  }
}
