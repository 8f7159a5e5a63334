import { firstOf } from '../shared/addresses.ts';
import { connect as connectSocket } from 'node:net';
import type { Reply } from '../shared/contract/command.ts';
import type { ScanRow } from '../shared/contract/orchestrator.ts';
import { topicsFor } from '../shared/contract/topics.ts';
import type { VserverState } from '../shared/contract/vserver.ts';
import { type RequestOptions, TIMEOUT_MS } from '../shared/bus/wire.ts';
import { VsError } from '../shared/errors.ts';
import { parseJson } from '../shared/json.ts';
import { type Hello, lineReader } from '../shared/local/lines.ts';
import type { Client, FarClient } from './client.ts';
import type { ClientSettings } from './settings.ts';
import { uniqueId } from './unique.ts';

type Settings = ClientSettings & { agent: { path: string; only: boolean } };

/** The broker has so long (ms) before the agent of this host is asked how it sees the broker. */
const SOON_MS = 300;
/** And so long more (ms) when the agent reaches it. */
const LATER_MS = 4000;
/** An agent that listens says hello at once (ms). */
const HELLO_MS = 3000;

/** How a vserver of this host stands in a scan. */
const rowOf = (one: VserverState): ScanRow => ({
  host: one.host,
  vserver: one.name,
  state: one.state,
  enabled: one.enabled,
  address: firstOf(one),
  ...(one.address6 ? { address6: one.address6 } : {}),
  network: one.network,
  epoch: one.epoch,
});

/** Speaks to the agent of this host by its own socket. `why`: why not by the broker. Throws VsError 'unavailable'. */
async function openAgent(path: string, base: string, why: string): Promise<Client & { hello: Hello }> {
  const socket = connectSocket({ path });
  const pending = new Map<string, (message: Reply) => void>();
  const first = Promise.withResolvers<Hello>();
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  lost.catch(() => undefined);
  let over: VsError | undefined;

  function end(message: string): void {
    over ??= new VsError('unavailable', message, { retryable: true });
    clearTimeout(late);
    first.reject(over);
    lose(over);
    socket.destroy();
    const { code, message: text, retryable } = over;
    for (const [id, take] of pending) take({ id, ok: false, error: { code, message: text, retryable } });
    pending.clear();
  }
  const late = setTimeout(() => end(`The agent of this host does not answer at ${path}.`), HELLO_MS);
  const read = lineReader(
    (line) => {
      let message: Hello | Reply;
      try {
        message = parseJson(line) as Hello | Reply;
      } catch {
        return end(`What answers at ${path} is not the agent of this host.`);
      }
      if ('id' in message) {
        if (message.id === 'none' && 'ok' in message && !message.ok) end(message.error.message);
        else pending.get(message.id)?.(message);
      } else {
        clearTimeout(late);
        first.resolve(message);
      }
    },
    () => end(`The agent of this host answers at ${path} without end.`),
  );
  socket.on('data', read);
  socket.on('error', (error: NodeJS.ErrnoException) =>
    end(
      `The agent of this host does not answer at ${path} (${error.code ?? error.message}). Does it run, and are you root?`,
    ),
  );
  socket.on('close', () => end(`The agent of this host ended the connection at ${path}.`));
  const hello = await first.promise;

  function ask(name: string, args: object, options: RequestOptions = {}): Promise<unknown> {
    if (over) return Promise.reject(over);
    const { id = uniqueId(), timeoutMs = TIMEOUT_MS, signal, onProgress } = options;
    const say = (message: object) => socket.writable && socket.write(`${JSON.stringify(message)}\n`);
    const abandoned = () => new VsError('failed', `${name} on ${hello.host} was given up.`);
    if (signal?.aborted) return Promise.reject(abandoned());
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        pending.delete(id);
      };
      const giveUp = (error: VsError) => {
        settle();
        say({ command: name, id, cancel: true });
        reject(error);
      };
      const aborted = () => giveUp(abandoned());
      const timer = setTimeout(() => {
        const message = `${hello.host} did not answer ${name} within ${timeoutMs / 1000} s.`;
        giveUp(new VsError('unavailable', message, { retryable: true }));
      }, timeoutMs);
      signal?.addEventListener('abort', aborted, { once: true });
      pending.set(id, (message) => {
        if ('progress' in message) return onProgress?.(message.progress);
        settle();
        if (message.ok) return resolve(message.data);
        const { code, message: text, retryable, details } = message.error;
        reject(new VsError(code, text, { retryable, ...(details ? { details } : {}) }));
      });
      say({ command: name, id, deadline: Date.now() + timeoutMs, args });
    });
  }
  const alone = (what: string) =>
    new VsError('unavailable', `${what}, and only ${hello.host} itself can be asked here: ${why}`);

  /** What the master knows of this host, from the host's own list. */
  async function asMaster(name: string, args: object): Promise<unknown> {
    const wanted = args as { name?: string; host?: string };
    if (name !== 'orchestrator.scan' && name !== 'orchestrator.locate')
      throw alone(`${name} is a matter of the master`);
    const { vservers } = (await ask('host-agent.list', {})) as { vservers: VserverState[] };
    const found = vservers.filter((one) => wanted.name === undefined || one.name === wanted.name);
    if (name === 'orchestrator.scan') {
      if (wanted.host !== undefined && wanted.host !== hello.host)
        throw alone(`${wanted.host} is another host`);
      return { rows: found.map(rowOf), hosts: [{ host: hello.host, state: 'online' }] };
    }
    const [state] = found;
    if (state) return { host: hello.host, state, online: true };
    throw alone(
      `${hello.host} has no vserver ${wanted.name ?? ''}; who else has one is a matter of the master`,
    );
  }
  function call(target: string, name: string, args: object, options?: RequestOptions): Promise<unknown> {
    if (target === 'master') return asMaster(name, args);
    if (target !== hello.host) return Promise.reject(alone(`${target} is another host`));
    return ask(name, args, options);
  }
  return {
    hello,
    topics: topicsFor(base),
    lost,
    call,
    request: (target, command, args, options) => call(target, command, args as object, options) as never,
    subscribe: () => Promise.reject(alone('To hear topics is a matter of the broker')),
    close() {
      over ??= new VsError('unavailable', 'The connection was closed.');
      socket.removeAllListeners('close');
      socket.end();
      socket.unref();
    },
  };
}

/** The broker where it answers, else the agent of this host: all that is its own can be done there, too. */
export async function connectNear(settings: Settings, far: () => Promise<FarClient>): Promise<Client> {
  const { agent, base, user, cert, url } = settings;
  if (agent.only) return openAgent(agent.path, base, 'so --local wants it.');
  if (!user && !cert) {
    // a host has no person's rights at the broker; its root is one on the host
    const why = `${url} is not asked without BROKER_USER (or a certificate) of a person in vs-tools.conf.`;
    return openAgent(agent.path, base, why).catch(far);
  }
  const client = far();
  let reason = `the broker at ${url} does not answer.`;
  const there = client.then(
    (one) =>
      one.ready.then(
        () => true,
        (error: Error) => {
          reason = error.message;
          return false;
        },
      ),
    () => false,
  );
  const within = (ms: number) => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, ms, undefined);
    return Promise.race([there, promise]).finally(() => clearTimeout(timer));
  };
  const soon = await within(SOON_MS);
  if (soon) return client;
  const near = await openAgent(agent.path, base, reason).catch(() => undefined);
  if (!near) return client;
  if (soon === undefined && near.hello.broker && (await within(LATER_MS))) {
    near.close();
    return client;
  }
  void client.then((one) => one.close()).catch(() => undefined);
  process.stderr.write(`vs: No broker answers, so this is between you and ${near.hello.host} alone.\n`);
  return near;
}
