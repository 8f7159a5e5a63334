import type { Args, CommandName, Data } from '../shared/contract/commands.ts';
import type { Reply } from '../shared/contract/command.ts';
import { MAX_PAYLOAD, type RequestOptions, TIMEOUT_MS, brokerUrls, replyName } from '../shared/bus/wire.ts';
import { type Topics, topicsFor } from '../shared/contract/topics.ts';
import { VsError } from '../shared/errors.ts';
import { type OnMessage, openConnection } from './connection.ts';
import { type ClientSettings, clientSettings } from './settings.ts';
import { uniqueId } from './unique.ts';

/** A client for the life of one command. */
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

interface Pending {
  progress: ((progress: Record<string, unknown>) => void) | undefined;
  resolve(data: unknown): void;
  reject(error: VsError): void;
  again(): void;
}

/** A refusal that comes twice (QoS 1) would pass for the answer to the next try. */
const CLOCK_TRIES = 5;
/** How long one node of a cluster may take before the next is tried. */
const NODE_MS = 3000;

/** A client of a broker; `ready` once it is let in. */
export interface FarClient extends Client {
  ready: Promise<void>;
}

/** Connects by the settings: to the broker, or to the agent of this host when the broker does not answer here (local.ts). */
export async function connect(given?: ClientSettings): Promise<Client> {
  const settings = given ?? (await clientSettings());
  const { agent } = settings;
  if (!agent) return connectFar(settings);
  const { connectNear } = await import('./local.ts');
  return connectNear({ ...settings, agent }, () => connectFar(settings));
}

/** Connects to the broker; returns at once, what fails shows in the requests. Of a cluster: the first node that answers. */
async function connectFar(settings: ClientSettings): Promise<FarClient> {
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

async function connectOne(settings: ClientSettings): Promise<FarClient> {
  const topics = topicsFor(settings.base);
  const who = settings.user || 'operator';
  const clientId = `${who}-${uniqueId()}`;
  const hears = replyName(settings.kind ?? 'embedded', who, clientId);
  const pending = new Map<string, Pending>();
  const connection = await openConnection(settings, clientId, reply);
  const { ready, lost, over, publish, subscribe } = connection;
  lost.catch((error: VsError) => {
    for (const one of pending.values()) one.reject(error);
    pending.clear();
  });

  /** Was it a reply to this client? */
  function reply(topic: string, payload: unknown): boolean {
    if (!topic.endsWith(`/replies/${hears}`)) return false;
    const answer = payload as Reply | null | undefined;
    const one = answer ? pending.get(answer.id) : undefined;
    if (!answer || !one) return true;
    if ('progress' in answer) one.progress?.(answer.progress);
    else if (answer.ok) one.resolve(answer.data);
    else {
      const { code, message, retryable, details } = answer.error;
      one.reject(new VsError(code, message, { retryable, ...(details ? { details } : {}) }));
    }
    return true;
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
    const ended = over();
    if (ended) return Promise.reject(ended);
    const { id = uniqueId(), timeoutMs = TIMEOUT_MS, signal } = options;
    const [service = '', command = ''] = name.split('.');
    const topic = topics.command(target, service, command);
    const text = (now: number) =>
      JSON.stringify({
        id,
        replyTo: topics.reply(target, hears),
        issuer: who,
        deadline: now + timeoutMs,
        args,
      });
    let payload = text(Date.now());
    let clockTries = 0;
    const bytes = Buffer.byteLength(payload);
    if (bytes > MAX_PAYLOAD)
      return Promise.reject(
        new VsError('usage', `A command of ${bytes} bytes is over the limit of ${MAX_PAYLOAD}.`),
      );
    const abandoned = () => new VsError('failed', `${name} on ${target} was given up.`);
    if (signal?.aborted) return Promise.reject(abandoned());
    const say = (message: string) => publish(topic, message);
    return new Promise((resolve, reject) => {
      /** Where it runs the work is told to end, too. */
      const giveUp = (error: VsError) => {
        fail(error);
        say(JSON.stringify({ id, cancel: true, issuer: who }));
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
        reject(error) {
          const theirs = error.code === 'deadline' ? error.details?.['now'] : undefined;
          if (typeof theirs !== 'number' || ++clockTries > CLOCK_TRIES) return fail(error);
          // it answered in time that this came too late: its clock differs, and the deadline is said by that one
          payload = text(theirs);
          say(payload);
        },
        again: () => say(payload),
      });
      watchTarget(target, fail, () => say(payload));
      say(payload);
    });
  }

  /** A cluster that looks for its leader refuses for some seconds (measured.md); what was answered meanwhile is asked again. */
  function hearReplies(before: boolean): void {
    subscribe(topics.replies(hears)).then(
      () => before && pending.forEach((one) => one.again()),
      () => over() ?? void setTimeout(hearReplies, 500, true).unref(),
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
    close: connection.close,
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
