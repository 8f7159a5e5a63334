import { randomUUID } from 'node:crypto';
import { type Settings, brokerPassword } from '../config/settings.ts';
import { openConnection } from './bus/connection.ts';
import { openDurable } from './bus/durable.ts';
import { openOutbox } from './bus/outbox.ts';
import { openRequests } from './bus/requests.ts';
import { openRetained } from './bus/retained.ts';
import { openServing } from './bus/serve.ts';
import { openSessions } from './bus/sessions.ts';
import { type OnMessage, openSubscriptions } from './bus/subscriptions.ts';
import { type RequestOptions, replyName } from './bus/wire.ts';
import type { Args, CommandName, Data } from './contract/commands.ts';
import type { Alert } from './contract/host.ts';
import { type Topics, matches, topicsFor } from './contract/topics.ts';
import type { Dispatcher } from './dispatch.ts';
import { parseJson } from './json.ts';
import type { Log } from './log.ts';

export interface Bus {
  readonly target: string;
  readonly topics: Topics;
  readonly connected: boolean;
  /** Resolves when the broker has it; rejects while it is away, when the connection is lost, and without PUBACK after 15 s. */
  publish(topic: string, payload: object | null, options?: { qos?: 0 | 1; retain?: boolean }): Promise<void>;
  /** Retained state: remembered and published again at every reconnect; null clears it. */
  retain(topic: string, payload: object | null): void;
  /** Resolves after the broker's first answer, or at once while it is away; a refused filter is asked for until it is granted. */
  subscribe(filter: string, onMessage: OnMessage): Promise<() => Promise<void>>;
  /**
   * Asks a service. In this process: without the network. Elsewhere: 'unavailable' at once while the broker is away; when
   * the connection is lost meanwhile, it is asked again by the same id. A raised signal, or the timeout, cancels the work.
   */
  request<K extends CommandName>(
    target: string,
    command: K,
    args: Args<K>,
    options?: RequestOptions,
  ): Promise<Data<K>>;
  /** Kept while the broker is away, in their order, and over a restart: the last OUTBOX_MESSAGES, OUTBOX_BYTES. */
  event(service: string, event: string, message: string, extra?: object): void;
  alert(subject: string, check: string, alert: Alert | null): void;
  /** At each connect, once commands can be heard; at once when that is so already. */
  onConnect(listener: () => void): void;
  /** Connects anew, in good order: with the certificate that lies there now. */
  reconnect(): void;
  close(): Promise<void>;
}

const REPLIES_KEPT = 1000;
const REPLIES_BYTES = 64 * 1024 * 1024;
/** How long `close` waits for what is on its way. */
const CLOSE_MS = 2000;

/**
 * Connects a process to the broker as one target (a host or `master`). Works at once, also while the broker is away:
 * commands to the own target are answered in the process, retained state is published when the broker is back.
 * `keep`: the name under which it keeps events and alerts on disk; without one they are in memory only.
 */
export function connectBus(options: {
  settings: Settings;
  target: string;
  dispatcher: Dispatcher;
  log: Log;
  keep?: string;
}): Bus {
  const { settings, target, dispatcher, log } = options;
  const topics = topicsFor(settings.BASE_TOPIC);
  const session = randomUUID();
  const issuer = settings.BROKER_USER || target;
  const clientId = `${issuer}-${randomUUID().slice(0, 8)}`;
  const url = settings.BROKER_URL;
  const commands = topics.command(target, '', '').slice(0, -1);
  const listeners = new Set<() => void>();
  /** Connected, and hears its commands. */
  let up = false;
  /** Until the alerts of this life are known. */
  let settling: NodeJS.Timeout | undefined;
  let closing = false;

  const status = (state: 'online' | 'offline') => JSON.stringify({ state, session, ts: Date.now() });
  const connection = openConnection({
    url,
    tls: { ca: settings.BROKER_CA, cert: settings.BROKER_CERT, key: settings.BROKER_KEY },
    clientId,
    username: issuer,
    password: brokerPassword(settings),
    will: { topic: topics.status(target), text: status('offline') }, // its ts is the birth of this session
    log,
    onConnect: () =>
      void connected().catch((error: unknown) => log.error({ error: String(error) }, 'after connect')),
    onLost: () => {
      up = false;
      for (const part of [subscriptions, retained, events, replies, requests]) part.lost();
    },
    onMessage: take,
  });
  const hears = replyName(settings.BROKER_KIND, issuer, clientId);
  const own = [...topics.replies(hears), topics.commands(target)];
  const subscriptions = openSubscriptions(connection, own, log);
  const onDisk =
    options.keep === undefined
      ? undefined
      : openDurable(settings, options.keep, (message) => {
          log.error(message);
          event('bus', 'outbox', message);
        });
  const isAlert = (topic: string) => matches(topics.alert(target, '+', '+'), topic);
  const retained = openRetained(connection, log, onDisk && { isAlert, raised: onDisk.raised });
  const events = openOutbox(connection, {
    limit: settings.OUTBOX_MESSAGES,
    bytes: settings.OUTBOX_BYTES,
    ordered: true,
    log,
    spool: onDisk?.spool,
    word: (number) => ({
      topic: topics.events(target, 'bus'),
      payload: {
        ts: Date.now(),
        event: 'lost',
        message: `${number} events were lost: the broker was away too long, or would not have them`,
        eventId: randomUUID(),
      },
    }),
  });
  const replies = openOutbox(connection, { limit: REPLIES_KEPT, bytes: REPLIES_BYTES, ordered: false, log });
  const requests = openRequests({ connection, topics, target, hears, issuer, url, dispatcher, log });
  const sessions = openSessions();
  const serve = openServing({
    topics,
    target,
    dispatcher,
    reply: (topic, message) => replies.push(topic, message),
    progress: (topic, message) => quietly(connection.send(topic, JSON.stringify(message), 1, false)),
    event,
  });
  const quietly = (what: Promise<unknown>) =>
    void what.catch((error: unknown) => log.debug({ error: String(error) }, 'not published'));
  const sayOnline = () => quietly(connection.send(topics.status(target), status('online'), 1, true));

  /** Who is told that this target is online may ask it at once: so it says that last, when it hears commands. */
  async function connected(): Promise<void> {
    void retained.renew();
    events.open();
    replies.open();
    if (!(await subscriptions.renew())) return; // lost again
    sayOnline();
    requests.open();
    up = true;
    settling ??= setTimeout(() => retained.clearLeft(), settings.ALERT_SETTLE_SECONDS * 1000).unref();
    for (const listener of listeners) listener();
  }

  function event(service: string, name: string, message: string, extra: object = {}): void {
    log.info({ service, event: name, ...extra }, message);
    events.push(topics.events(target, service), {
      ts: Date.now(),
      event: name,
      message,
      ...extra,
      eventId: randomUUID(),
    });
  }

  function take(topic: string, buffer: Buffer, retain: boolean): void {
    let payload: unknown = null;
    try {
      payload = buffer.length === 0 ? null : parseJson(buffer.toString());
    } catch (error) {
      if (topic.startsWith(commands))
        event('bus', 'refused', `a message on ${topic} is not valid JSON: ${(error as Error).message}`);
      return;
    }
    if (topic.includes('/replies/')) requests.take(topic, payload);
    else if (topic.startsWith(commands)) void serve(topic, payload, retain);
    else if (topic.endsWith('/status') && !statusIsNews(topic, payload, retain)) return;
    subscriptions.deliver(topic, payload, retain);
  }
  /** False: the will of a life that was over long ago. */
  function statusIsNews(topic: string, payload: unknown, retain: boolean): boolean {
    // The will of an earlier connection may come after this one's birth (power cut, quick reboot): say it again.
    if (topic === topics.status(target)) {
      if (!closing && (payload as { state?: string } | null)?.state === 'offline') sayOnline();
      return true;
    }
    if (target !== 'master') return true;
    const host = topic.split('/').at(-2) ?? '';
    const life = sessions.take(host, payload, retain);
    if (life === 'over') requests.failAll(host);
    if ((payload as { state?: string } | null)?.state === 'online') requests.online(host);
    return life !== 'late';
  }

  const ignore = () => undefined;
  quietly(subscriptions.add(topics.status(target), ignore));
  if (target === 'master') quietly(subscriptions.add(topics.all.hostStatus, ignore));

  return {
    target,
    topics,
    get connected() {
      return connection.connected;
    },
    publish: (topic, payload, { qos = 1, retain = false } = {}) =>
      connection.send(topic, payload === null ? '' : JSON.stringify(payload), qos, retain),
    retain: (topic, payload) => retained.set(topic, payload),
    subscribe: (filter, onMessage) => subscriptions.add(filter, onMessage),
    async request(to, command, args, request = {}) {
      const ask = to === target ? requests.local : requests.remote.bind(undefined, to);
      return (await ask(command, args as object, request)) as never;
    },
    event,
    alert: (subject, check, alert) => retained.set(topics.alert(target, subject, check), alert),
    onConnect(listener) {
      listeners.add(listener);
      if (up) queueMicrotask(listener);
    },
    reconnect: () => connection.reconnect(),
    async close() {
      closing = true;
      clearTimeout(settling);
      if (connection.connected) {
        const enough = AbortSignal.timeout(CLOSE_MS);
        const late = new Promise((resolve) => enough.addEventListener('abort', resolve));
        await Promise.race([Promise.all([events.empty(), replies.empty()]), late]);
        const said = connection
          .send(topics.status(target), status('offline'), 1, true)
          .catch(() => undefined);
        await Promise.race([said, late]);
      }
      await connection.end();
      await Promise.all([onDisk?.spool.flush(), onDisk?.raised.flush()]);
    },
  };
}
