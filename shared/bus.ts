import { randomUUID } from 'node:crypto';
import { type Socket, connect as connectSocket } from 'node:net';
import { MqttClient } from 'mqtt';
import { type Settings, brokerPassword } from '../config/settings.ts';
import { type Reply, reply as replySchema } from './contract/command.ts';
import type { Args, CommandName, Data } from './contract/commands.ts';
import type { Alert } from './contract/host.ts';
import { type Topics, topicsFor } from './contract/topics.ts';
import type { Dispatcher } from './dispatch.ts';
import { VsError } from './errors.ts';
import type { Log } from './log.ts';

export interface RequestOptions {
  id?: string;
  /** Milliseconds until the answer; 60 s unless given. */
  timeoutMs?: number;
  signal?: AbortSignal;
  onProgress?: (progress: Record<string, unknown>) => void;
}
type OnMessage = (topic: string, payload: unknown, packet: { retain: boolean }) => void;

export interface Bus {
  readonly target: string;
  readonly topics: Topics;
  readonly connected: boolean;
  publish(topic: string, payload: object | null, options?: { qos?: 0 | 1; retain?: boolean }): Promise<void>;
  /** Retained state: remembered and published again at every reconnect; null clears it. */
  retain(topic: string, payload: object | null): void;
  subscribe(filter: string, onMessage: OnMessage): Promise<() => Promise<void>>;
  request<K extends CommandName>(
    target: string,
    command: K,
    args: Args<K>,
    options?: RequestOptions,
  ): Promise<Data<K>>;
  event(service: string, event: string, message: string, extra?: object): void;
  alert(subject: string, check: string, alert: Alert | null): void;
  onConnect(listener: () => void): void;
  close(): Promise<void>;
}

/** Packets stay under 1 MB, which every broker of the common ground takes (measured.md). */
const MAX_PAYLOAD = 1_000_000;

interface Pending {
  target: string;
  finish: (reply: Reply) => void;
  fail: (error: VsError) => void;
}

/** Does an MQTT filter (+ and #) match a topic? */
export function matches(filter: string, topic: string): boolean {
  const want = filter.split('/');
  const have = topic.split('/');
  for (const [index, level] of want.entries()) {
    if (level === '#') return true;
    if (level !== '+' && level !== have[index]) return false;
    if (have[index] === undefined) return false;
  }
  return want.length === have.length;
}

function openStream(url: string): Socket {
  const parsed = new URL(url);
  const socket =
    parsed.protocol === 'unix:'
      ? connectSocket({ path: decodeURIComponent(parsed.pathname) })
      : connectSocket({ host: parsed.hostname, port: Number(parsed.port || 1883) });
  socket.setNoDelay(true); // Nagle dominates latency otherwise (measured.md)
  return socket;
}

/**
 * Connects a process to the broker as one target (a host or `master`). Works at once, also while the broker is away:
 * commands to the own target are answered in the process, retained state is published when the broker is back.
 */
export function connectBus(options: {
  settings: Settings;
  target: string;
  dispatcher: Dispatcher;
  log: Log;
}): Bus {
  const { settings, target, dispatcher, log } = options;
  const topics = topicsFor(settings.BASE_TOPIC);
  const session = randomUUID();
  const born = Date.now();
  const clientId = `${settings.BROKER_USER || target}-${randomUUID().slice(0, 8)}`;
  /** null: to be cleared at the broker, also when it was away at the time. */
  const retained = new Map<string, object | null>();
  const subscriptions = new Map<string, Set<OnMessage>>();
  const pending = new Map<string, Pending>();
  const sessions = new Map<string, string>();
  const onConnect = new Set<() => void>();
  let closing = false;

  const status = (state: 'online' | 'offline', at: number) => ({ state, session, ts: at });
  const client = new MqttClient(() => openStream(settings.BROKER_URL), {
    clientId,
    clean: true,
    protocolId: 'MQTT',
    protocolVersion: 4,
    username: settings.BROKER_USER || target,
    password: brokerPassword(settings),
    keepalive: 10, // seconds: a broker that lost its power says nothing
    connectTimeout: 10_000,
    reconnectPeriod: 500 + Math.floor(Math.random() * 1000),
    resubscribe: false,
    queueQoSZero: false,
    will: {
      topic: topics.status(target),
      payload: Buffer.from(JSON.stringify(status('offline', born))),
      qos: 1,
      retain: true,
    },
  });

  const send = (topic: string, payload: object | null, qos: 0 | 1, retain: boolean): Promise<void> => {
    const text = payload === null ? '' : JSON.stringify(payload);
    if (Buffer.byteLength(text) > MAX_PAYLOAD) {
      return Promise.reject(
        new VsError(
          'usage',
          `a message of ${Buffer.byteLength(text)} bytes on ${topic} is over the limit of ${MAX_PAYLOAD}`,
        ),
      );
    }
    return client.publishAsync(topic, text, { qos, retain }).then(() => undefined);
  };
  const quietly = (what: Promise<unknown>) =>
    void what.catch((error: unknown) => log.debug({ error: String(error) }, 'not published'));

  async function subscribeAll(): Promise<void> {
    const filters = [
      ...topics.replies(clientId),
      topics.commands(target),
      topics.status(target),
      ...subscriptions.keys(),
    ];
    if (target === 'master') filters.push(topics.all.hostStatus);
    for (const filter of filters) {
      await client
        .subscribeAsync(filter, { qos: 1 })
        .catch((error: unknown) => log.warn({ filter, error: String(error) }, 'subscription refused'));
    }
  }

  client.on('connect', () => {
    log.info({ url: settings.BROKER_URL, clientId }, 'connected to the broker');
    void (async () => {
      await subscribeAll();
      quietly(send(topics.status(target), status('online', Date.now()), 1, true));
      for (const [topic, payload] of retained) quietly(send(topic, payload, 1, true));
      for (const listener of onConnect) listener();
    })().catch((error: unknown) => log.error({ error: String(error) }, 'after connect'));
  });
  client.on('close', () => log.debug('connection to the broker closed'));
  client.on('error', (error) =>
    log.warn({ error: error.message, url: settings.BROKER_URL }, 'broker connection'),
  );

  client.on('message', (topic, buffer, packet) => {
    let payload: unknown = null;
    try {
      payload = buffer.length === 0 ? null : JSON.parse(buffer.toString());
    } catch (error) {
      if (topic.includes('/commands/'))
        bus.event('bus', 'refused', `a message on ${topic} is not valid JSON: ${(error as Error).message}`);
      return;
    }
    if (topic.includes('/replies/')) takeReply(topic, payload);
    else if (topic.startsWith(topics.command(target, '', '').slice(0, -1)))
      void serve(topic, payload, packet.retain);
    // The will of an earlier connection may come after this one's birth (power cut, quick reboot): say it again.
    if (
      topic === topics.status(target) &&
      !closing &&
      (payload as { state?: string } | null)?.state === 'offline'
    )
      quietly(send(topic, status('online', Date.now()), 1, true));
    if (target === 'master' && topic.endsWith('/status')) watchSession(topic, payload);
    for (const [filter, listeners] of subscriptions) {
      if (matches(filter, topic))
        for (const listener of listeners) listener(topic, payload, { retain: packet.retain });
    }
  });

  /** A host that went away, or came back as another life, will not answer what its last life was asked. */
  function watchSession(topic: string, payload: unknown): void {
    const host = topic.split('/').at(-2) ?? '';
    const now = payload as { state?: string; session?: string } | null;
    const before = sessions.get(host);
    if (now?.state === 'offline' && before !== undefined && now.session !== before) return; // a late will
    if (now?.session) sessions.set(host, now.session);
    if (now?.state === 'online' && (before === undefined || before === now.session)) return;
    for (const [id, one] of pending) {
      if (one.target !== host) continue;
      pending.delete(id);
      one.fail(new VsError('unavailable', `${host} went offline before it answered`, { retryable: true }));
    }
  }

  function takeReply(topic: string, payload: unknown): void {
    const parsed = replySchema.safeParse(payload);
    if (!parsed.success) return;
    const one = pending.get(parsed.data.id);
    if (one && topic === topics.reply(one.target, clientId)) one.finish(parsed.data); // only who was asked may answer
  }

  async function serve(topic: string, payload: unknown, wasRetained: boolean): Promise<void> {
    const [service = '', command = ''] = topic.split('/').slice(-2);
    const name = `${service}.${command}`;
    if (wasRetained) return; // a command is never retained; an old one must not be carried out at a connect
    const raw = (payload ?? {}) as { replyTo?: unknown; id?: unknown };
    const replyTo = typeof raw.replyTo === 'string' ? raw.replyTo : undefined;
    const id = typeof raw.id === 'string' && raw.id ? raw.id : randomUUID();
    const own = replyTo !== undefined && matches(topics.reply(target, '+'), replyTo);
    const answer = (message: Reply) => {
      if (own) quietly(send(replyTo, message, 1, false));
    };
    let result: Reply;
    try {
      if (replyTo !== undefined && !own)
        throw new VsError('usage', `replyTo must be ${topics.reply(target, 'CLIENT')}, not ${replyTo}`);
      const envelope = dispatcher.parse(payload);
      result = await dispatcher.call(name, envelope, id, (progress) => answer({ id, progress }));
    } catch (error) {
      result = {
        id,
        ok: false,
        error: { code: 'usage', message: (error as Error).message, retryable: false },
      };
    }
    answer(result);
    if (!own && 'ok' in result) {
      const issuer = (payload as { issuer?: string } | null)?.issuer;
      if (result.ok) bus.event(service, command, `${name} was carried out`, { id, issuer });
      else
        bus.event(service, 'failed', `${name} failed: ${result.error.message}`, {
          id,
          issuer,
          code: result.error.code,
        });
    }
  }

  function unwrap(result: Reply): unknown {
    if ('ok' in result && result.ok) return result.data;
    if ('ok' in result)
      throw new VsError(result.error.code, result.error.message, {
        retryable: result.error.retryable,
        ...(result.error.details ? { details: result.error.details } : {}),
      });
    throw new VsError('internal', 'a request ended without an answer');
  }

  async function remote(
    to: string,
    name: string,
    args: object,
    id: string,
    request: RequestOptions,
  ): Promise<unknown> {
    const timeoutMs = request.timeoutMs ?? 60_000;
    const [service = '', command = ''] = name.split('.');
    const result = await new Promise<Reply>((resolve, reject) => {
      const fail = (error: VsError) => {
        clearTimeout(timer);
        pending.delete(id);
        request.signal?.removeEventListener('abort', aborted);
        reject(error);
      };
      const aborted = () => fail(new VsError('failed', `${name} on ${to} was given up`));
      const timer = setTimeout(
        () =>
          fail(
            new VsError('unavailable', `${to} did not answer ${name} within ${timeoutMs / 1000} s`, {
              retryable: true,
            }),
          ),
        timeoutMs,
      );
      request.signal?.addEventListener('abort', aborted, { once: true });
      pending.set(id, {
        target: to,
        fail,
        finish: (message) => {
          if ('progress' in message) return request.onProgress?.(message.progress);
          clearTimeout(timer);
          pending.delete(id);
          request.signal?.removeEventListener('abort', aborted);
          resolve(message);
        },
      });
      if (!client.connected)
        return fail(
          new VsError(
            'unavailable',
            `the broker at ${settings.BROKER_URL} is not reachable, so ${to} cannot be asked`,
            { retryable: true },
          ),
        );
      const envelope = {
        id,
        replyTo: topics.reply(to, clientId),
        issuer: settings.BROKER_USER || target,
        args,
      };
      send(topics.command(to, service, command), envelope, 1, false).catch((error: unknown) =>
        fail(
          error instanceof VsError
            ? error
            : new VsError('unavailable', `${name} could not be sent to ${to}: ${String(error)}`, {
                retryable: true,
                cause: error,
              }),
        ),
      );
    });
    return unwrap(result);
  }

  const bus: Bus = {
    target,
    topics,
    get connected() {
      return client.connected;
    },
    publish: (topic, payload, { qos = 1, retain = false } = {}) => send(topic, payload, qos, retain),
    retain(topic, payload) {
      retained.set(topic, payload);
      if (client.connected) quietly(send(topic, payload, 1, true));
    },
    async subscribe(filter, onMessage) {
      const known = subscriptions.get(filter);
      subscriptions.set(filter, (known ?? new Set()).add(onMessage));
      if (client.connected) await client.subscribeAsync(filter, { qos: 1 });
      return async () => {
        subscriptions.get(filter)?.delete(onMessage);
        if (subscriptions.get(filter)?.size === 0) {
          subscriptions.delete(filter);
          if (client.connected) await client.unsubscribeAsync(filter);
        }
      };
    },
    async request(to, command, args, request = {}) {
      const id = request.id ?? randomUUID();
      if (to === target) {
        const envelope = dispatcher.parse({ id, issuer: settings.BROKER_USER || target, args });
        return unwrap(await dispatcher.call(command, envelope, id, request.onProgress)) as never;
      }
      return (await remote(to, command, args as object, id, request)) as never;
    },
    event(service, event, message, extra = {}) {
      log.info({ service, event, ...extra }, message);
      if (client.connected)
        quietly(send(topics.events(target, service), { ts: Date.now(), event, message, ...extra }, 1, false));
    },
    alert: (subject, check, alert) => bus.retain(topics.alert(target, subject, check), alert),
    onConnect: (listener) => void onConnect.add(listener),
    async close() {
      closing = true;
      if (client.connected)
        await Promise.race([
          send(topics.status(target), status('offline', Date.now()), 1, true),
          new Promise((resolve) => setTimeout(resolve, 2000)),
        ]);
      await client.endAsync(true);
    },
  };
  return bus;
}
