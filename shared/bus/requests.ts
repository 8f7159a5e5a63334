import { randomUUID } from 'node:crypto';
import { type Reply, reply as replySchema } from '../contract/command.ts';
import type { Topics } from '../contract/topics.ts';
import type { Dispatcher } from '../dispatch.ts';
import { VsError } from '../errors.ts';
import type { Log } from '../log.ts';
import { openCancels } from './cancels.ts';
import type { Connection } from './connection.ts';
import { type RequestOptions, TIMEOUT_MS } from './wire.ts';

interface Pending {
  id: string;
  target: string;
  name: string;
  /** The message of a request to another process. */
  message?: { topic: string; text: string };
  sent?: boolean;
  finish: (reply: Reply) => void;
  fail: (error: VsError) => void;
}

/** The data of an answer; throws its error. */
function unwrap(result: Reply): unknown {
  if ('progress' in result) throw new VsError('internal', 'a request ended without an answer');
  if (result.ok) return result.data;
  const { code, message, retryable, details } = result.error;
  throw new VsError(code, message, { retryable, ...(details ? { details } : {}) });
}

/** A refusal that comes twice (QoS 1) would pass for the answer to the next try. */
const CLOCK_TRIES = 5;

/** The clock of a target (epoch ms) that refused a command as late. */
function clockOf(result: Reply): number | undefined {
  if (!('ok' in result) || result.ok || result.error.code !== 'deadline') return undefined;
  const now = result.error.details?.['now'];
  return typeof now === 'number' ? now : undefined;
}

/**
 * The questions of this process. One that waits when the connection is lost is asked again by the same id at the next:
 * the other side joins it to the work, or answers it again. A loss cancels nothing; who gives up (by its signal, or
 * because its time is over) does.
 */
export function openRequests(parts: {
  connection: Connection;
  topics: Topics;
  target: string;
  /** The level on which replies are heard. */
  hears: string;
  issuer: string;
  url: string;
  dispatcher: Dispatcher;
  log: Log;
}) {
  const { connection, topics, target, hears, issuer, url, dispatcher, log } = parts;
  const pending = new Set<Pending>();
  const cancels = openCancels(connection, issuer, log);
  /** Targets that were heard of before replies can be heard. */
  const there = new Set<string>();
  let ready = false;

  /** Sends a question until the broker has it; when the connection is lost, `open` or `online` does it again. */
  async function deliver(one: Pending): Promise<void> {
    while (one.message && pending.has(one)) {
      if (!ready) return;
      one.sent = true;
      try {
        return await connection.send(one.message.topic, one.message.text, 1, false);
      } catch (error) {
        if (!(error instanceof VsError) || error.code === 'usage') return one.fail(error as VsError);
        if (error.code !== 'deadline') return;
      }
    }
  }

  function cancel(one: Pending, explicit: boolean): void {
    if (pending.values().some((other) => other.id === one.id && other.name === one.name)) return; // it waits still
    if (!one.message) {
      try {
        dispatcher.cancel(one.name, one.id, issuer);
      } catch (error) {
        log.debug({ error: String(error) }, 'not cancelled'); // joined to the work of somebody else
      }
    } else if (ready || explicit)
      cancels.add({ id: one.id, target: one.target, topic: one.message.topic }, ready);
  }
  function sayAgain(who: string): void {
    cancels.sayAgain(who);
    for (const one of pending) if (one.target === who) void deliver(one);
  }

  /** Waits for the answer to what `begin` asks. */
  function wait(
    one: Pick<Pending, 'id' | 'target' | 'name' | 'message'>,
    request: RequestOptions,
    begin: (it: Pending) => void,
  ): Promise<Reply> {
    const { signal, onProgress, timeoutMs = TIMEOUT_MS } = request;
    const given = () => new VsError('failed', `${one.name} on ${one.target} was given up`);
    if (signal?.aborted) return Promise.reject(given());
    return new Promise<Reply>((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        return pending.delete(it);
      };
      const it: Pending = {
        ...one,
        finish: (message) => {
          if ('progress' in message) onProgress?.(message.progress);
          else if (settle()) resolve(message);
        },
        fail: (error) => void (settle() && reject(error)),
      };
      const giveUp = (error: VsError, explicit: boolean) => {
        it.fail(error);
        cancel(it, explicit);
      };
      const aborted = () => giveUp(given(), true);
      const timer = setTimeout(() => {
        const message = `${one.target} did not answer ${one.name} within ${timeoutMs / 1000} s`;
        giveUp(new VsError('unavailable', message, { retryable: true, details: { timedOut: true } }), false);
      }, timeoutMs);
      signal?.addEventListener('abort', aborted, { once: true });
      pending.add(it);
      begin(it);
    });
  }

  return {
    /** Asks a service in this process, through the same contract. */
    async local(name: string, args: object, request: RequestOptions): Promise<unknown> {
      const id = request.id ?? randomUUID();
      const envelope = dispatcher.parse({ id, issuer, args });
      const result = await wait({ id, target, name }, request, (it) => {
        dispatcher
          .call(name, envelope, id, (progress) => pending.has(it) && it.finish({ id, progress }))
          .then(it.finish, it.fail);
      });
      return unwrap(result);
    },
    /** Asks another process. Fails at once while the broker is away. */
    async remote(to: string, name: string, args: object, request: RequestOptions): Promise<unknown> {
      const id = request.id ?? randomUUID();
      const [service = '', command = ''] = name.split('.');
      const topic = topics.command(to, service, command);
      if (!connection.connected)
        throw new VsError('unavailable', `the broker at ${url} is not reachable, so ${to} cannot be asked`, {
          retryable: true,
        });
      const ask = (now: number) => {
        const deadline = now + (request.timeoutMs ?? TIMEOUT_MS);
        const envelope = { id, replyTo: topics.reply(to, hears), issuer, deadline, args };
        const message = { topic, text: JSON.stringify(envelope) };
        return wait({ id, target: to, name, message }, request, (it) => {
          cancels.forget(id);
          void deliver(it);
        });
      };
      let result = await ask(Date.now());
      for (let tries = 0; tries < CLOCK_TRIES; tries++) {
        const theirs = clockOf(result);
        if (theirs === undefined) break;
        // it answered in time that this came too late: its clock differs, and the deadline is said by that one
        result = await ask(theirs);
      }
      return unwrap(result);
    },
    take(topic: string, payload: unknown): void {
      const parsed = replySchema.safeParse(payload);
      if (!parsed.success) return;
      if ('ok' in parsed.data) cancels.forget(parsed.data.id);
      for (const one of pending)
        // only who was asked may answer
        if (one.message && one.id === parsed.data.id && topic === topics.reply(one.target, hears))
          one.finish(parsed.data);
    },
    /**
     * Replies can be heard: asks what was not asked yet. What waits for a host is asked again when the host says that it
     * is there, and is still the one that was asked (`failAll`): another life of it would carry it out anew.
     */
    open(): void {
      ready = true;
      for (const one of pending) if (!one.sent || target !== 'master') void deliver(one);
      for (const who of there) sayAgain(who);
      there.clear();
    },
    /** A target hears commands (again): what was said while it or we were away is said again. */
    online(who: string): void {
      if (ready) sayAgain(who);
      else there.add(who);
    },
    lost(): void {
      ready = false;
      there.clear();
    },
    /** Whoever this target was will not answer any more. */
    failAll(of: string): void {
      for (const one of pending)
        if (one.message && one.target === of)
          one.fail(new VsError('unavailable', `${of} went offline before it answered`, { retryable: true }));
    },
  };
}
export type Requests = ReturnType<typeof openRequests>;
