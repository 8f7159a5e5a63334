import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, type Socket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type Packet } from 'mqtt-packet';
import { type MqttClient, connectAsync } from 'mqtt';
import { clientSettings } from '../../cli/settings.ts';
import { loadSettings } from '../../config/settings.ts';
import { type Bus, connectBus } from '../../shared/bus.ts';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';
import { kind, openBroker, patience } from './brokers.ts';

export const cli = new URL('../../cli/main.ts', import.meta.url).pathname;
/** An ear needs no QoS 1, for which a cluster prepares each subscription on three nodes. */
const ears = kind === 'nats' ? 0 : 1;
/** NATS refuses a filter that is wider than what its user may hear. */
const parts = (filter: string): string[] =>
  kind === 'nats' && /\/hosts\/[^/]+\/#$/.test(filter)
    ? ['status', 'info', 'metrics', 'vservers/#', 'alerts/#', 'events/#', 'commands/#'].map(
        (below) => `${filter.slice(0, -1)}${below}`,
      )
    : [filter];

/** Starts the command line, and tells what it says; `before`: words that lead to it. The caller ends it. */
export function startVs(
  words: string[],
  { environment, cwd, before = [] }: { environment: NodeJS.ProcessEnv; cwd?: string; before?: string[] },
) {
  const said = { text: '' };
  const [file = '', ...argv] = [...before, process.execPath, cli, ...words];
  const child = spawn(file, argv, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said.text += chunk.toString()));
  return { child, said };
}

export async function until(what: () => boolean, why: string, ms = 8000 * patience): Promise<void> {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
const listening = (server: Server) =>
  new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });

/** A broker of its own, which can be killed and started again on its ports, and clients of it. */
export async function realBroker(more: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-bus-'));
  const broker = await openBroker(directory, more);
  const opened: Bus[] = [];
  const raws: MqttClient[] = [];
  /** Of a process of this user; `proxy`: the port of one. */
  const environment = (user: string, proxy?: number) => ({
    VS_HOST: user === 'host2' ? 'host2' : 'host1',
    VS_CONFIG_DIR: directory,
    ...broker.environment(user),
    VS_BROKER_URL: proxy === undefined ? broker.url(user) : `mqtt://127.0.0.1:${proxy}`,
  });
  await broker.start().catch(async (error: unknown) => {
    await broker.kill(); // or nobody would
    throw error;
  });

  return {
    /** Of the embedded broker that runs now. */
    pid: broker.pid,
    directory,
    /** Of the embedded broker. */
    port: Number(new URL(broker.url('host1').split(',')[0] ?? '').port),
    start: broker.start,
    kill: broker.kill,
    killNode: broker.killNode,
    startNode: broker.startNode,
    answers: broker.answers,
    dial: broker.dial,
    options: broker.options,
    certificate: broker.certificate,
    environment,
    /** What the command line's own client takes. */
    settings: (user: string) => clientSettings(environment(user)),
    /** A bus of a user, connected; `proxy`: the port of one, and then it may not be; `log` gets its lines. */
    async bus(user: string, handlers: Handlers = {}, proxy?: number, lines: string[] = []): Promise<Bus> {
      const log = createLog('fatal', user);
      for (const level of ['warn', 'error'] as const)
        log[level] = ((facts: unknown, text: string) => void lines.push(text)) as never;
      const bus = connectBus({
        settings: loadSettings({ file: '/nonexistent', env: environment(user, proxy) }),
        target: user,
        dispatcher: createDispatcher(handlers, () => undefined),
        log,
      });
      opened.push(bus);
      let ready = false;
      bus.onConnect(() => (ready = true));
      if (proxy === undefined) await until(() => ready, `${user} is connected`);
      return bus;
    },
    /** A bare client, which hears `filters` into `heard`. */
    async raw(clientId: string, filters: string[] = [], will?: { topic: string; text: string }) {
      const heard: { topic: string; text: string; body: Record<string, unknown> }[] = [];
      const client = await connectAsync({
        ...broker.options(clientId.split('-')[0] ?? ''),
        clientId,
        ...(will
          ? { will: { topic: will.topic, payload: Buffer.from(will.text), qos: 1 as const, retain: true } }
          : {}),
      });
      raws.push(client);
      client.on('message', (topic, payload) => {
        const text = payload.toString();
        heard.push({ topic, text, body: text ? (JSON.parse(text) as Record<string, unknown>) : {} });
      });
      const asked = filters.flatMap(parts);
      if (asked.length > 0) {
        await client.subscribeAsync(asked, { qos: ears });
        client.on('connect', () => void client.subscribeAsync(asked, { qos: ears }).catch(() => undefined));
      }
      return {
        heard,
        client,
        /** Subscribes once more. */
        again: () => client.subscribeAsync(asked, { qos: ears }),
        on: (topic: string) => heard.filter((one) => one.topic === topic),
        send: (topic: string, body: object | string) =>
          client.publishAsync(topic, typeof body === 'string' ? body : JSON.stringify(body), { qos: 1 }),
      };
    },
    async close(): Promise<void> {
      for (const client of raws) await client.endAsync(true);
      await Promise.all(opened.map((bus) => bus.close()));
      await broker.kill();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Stands between a client and the broker and does what bad networks and other brokers do. */
export async function badProxy(dial: (user: string) => Socket) {
  const rules = {
    /** Filters that are refused (SUBACK 0x80). */
    refused: new Set<string>(),
    /** Topics whose PUBLISH of the client is swallowed: it gets no PUBACK. */
    swallowed: new Set<string>(),
    /** Topics whose PUBLISH ends the connection, as a broker does that will not have it. */
    hated: new Set<string>(),
    /** Nobody gets through. */
    down: false,
  };
  const pairs = new Set<[Socket, Socket]>();
  const sent: string[] = [];
  let accepted = 0;
  let inFlight = 0;
  let most = 0;
  const server = createServer({ noDelay: true }, (client) => {
    accepted++;
    if (rules.down) {
      client.destroy();
      return;
    }
    const parser = mqtt.parser();
    const early: Buffer[] = [];
    const first = (chunk: Buffer) => {
      early.push(chunk);
      parser.parse(Buffer.from(chunk));
    };
    client.on('data', first).on('error', () => client.destroy());
    parser.once('packet', (packet: Packet) => {
      client.off('data', first);
      relay(client, dial(packet.cmd === 'connect' ? (packet.username ?? '') : ''), Buffer.concat(early));
    });
  });
  /** Between the two, from the client's CONNECT on. */
  function relay(client: Socket, broker: Socket, early: Buffer): void {
    const pair: [Socket, Socket] = [client, broker];
    pairs.add(pair);
    const end = () => {
      for (const one of pair) one.destroy();
      pairs.delete(pair);
    };
    /** Which filters of a SUBSCRIBE were kept from the broker. */
    const asked = new Map<number, boolean[]>();
    const pass = (from: Socket, to: Socket, change: (packet: Packet) => Packet | undefined) => {
      const parser = mqtt.parser();
      from.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
      from.on('error', end).on('close', end);
      parser.on('packet', (packet: Packet) => {
        const changed = change(packet);
        if (changed && !to.destroyed) to.write(mqtt.generate(changed));
      });
      return parser;
    };
    const begin = pass(client, broker, (packet) => {
      if (packet.cmd === 'subscribe') {
        const filters = packet.subscriptions.map((one) => one.topic);
        const { messageId = 0 } = packet;
        const kept = filters.map((one) => rules.refused.has(one));
        asked.set(messageId, kept);
        const subscriptions = packet.subscriptions.filter((_one, index) => !kept[index]);
        if (subscriptions.length > 0) return { ...packet, subscriptions };
        client.write(mqtt.generate({ cmd: 'suback', messageId, granted: filters.map(() => 0x80) }));
        return undefined;
      }
      if (packet.cmd !== 'publish') return packet;
      if (client.destroyed) return undefined;
      sent.push(packet.topic);
      if (packet.qos === 1) most = Math.max(most, ++inFlight);
      if (rules.hated.has(packet.topic)) end();
      return rules.hated.has(packet.topic) || rules.swallowed.has(packet.topic) ? undefined : packet;
    });
    pass(broker, client, (packet) => {
      if (packet.cmd === 'puback') inFlight--;
      if (packet.cmd !== 'suback') return packet;
      const kept = asked.get(packet.messageId ?? 0) ?? [];
      const codes = [...(packet.granted as number[])];
      const granted = kept.map((one) => (one ? 0x80 : codes.shift()));
      return { ...packet, granted } as Packet;
    });
    begin.parse(early);
  }
  return {
    rules,
    sent,
    port: await listening(server),
    accepted: () => accepted,
    /** So many messages of clients waited for PUBACK at once; `anew`: counts from now. */
    mostInFlight(anew: boolean): number {
      const found = most;
      if (anew) inFlight = most = 0;
      return found;
    },
    cut(): void {
      for (const pair of pairs) for (const one of pair) one.destroy();
      pairs.clear();
    },
    close(): void {
      this.cut();
      server.close();
    },
  };
}
