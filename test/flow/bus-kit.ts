import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type Packet } from 'mqtt-packet';
import { type MqttClient, connectAsync } from 'mqtt';
import { hashPassword } from '../../broker/users.ts';
import { loadSettings } from '../../config/settings.ts';
import { type Bus, connectBus } from '../../shared/bus.ts';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';

export const cli = new URL('../../cli/main.ts', import.meta.url).pathname;
const roles = { master: 'master', host1: 'agent', host2: 'agent', operator: 'operator', viewer: 'viewer' };

export async function until(what: () => boolean, why: string, ms = 8000): Promise<void> {
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

/** A broker process of its own, which can be killed and started again on its port, and clients of it. */
export async function realBroker(more: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-bus-'));
  const secret = await hashPassword('right');
  const users = Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, { role, ...secret }]));
  writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
  writeFileSync(join(directory, 'password'), 'right', { mode: 0o600 });
  const probe = createServer();
  const port = await listening(probe);
  await new Promise((resolve) => probe.close(resolve));
  const opened: Bus[] = [];
  const raws: MqttClient[] = [];
  let broker: ChildProcess | undefined;

  async function start(): Promise<void> {
    broker = spawn(process.execPath, [cli, 'service', 'broker'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        VS_CONFIG_DIR: directory,
        VS_STATE_DIR: directory,
        VS_BROKER_LISTEN: `127.0.0.1:${port}`,
        VS_BROKER_USERS: join(directory, 'users.json'),
        VS_LOG_LEVEL: 'error',
        ...more,
      },
    });
    for (let reached = false; !reached;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      reached = await new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(true));
        socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
      });
    }
  }
  async function kill(): Promise<void> {
    const gone = new Promise((resolve) => broker?.once('exit', resolve));
    broker?.kill('SIGKILL');
    await gone;
  }
  const environment = (user: string, at = port) => ({
    VS_HOST: user === 'host2' ? 'host2' : 'host1',
    VS_CONFIG_DIR: directory,
    VS_BROKER_URL: `mqtt://127.0.0.1:${at}`,
    VS_BROKER_USER: user,
    VS_BROKER_PASSWORD_FILE: join(directory, 'password'),
  });
  await start();

  return {
    port,
    /** Of the broker that runs now. */
    pid: () => broker?.pid ?? 0,
    directory,
    start,
    kill,
    environment,
    /** A bus of a user, connected; `at`: the port, of a proxy for instance; `log` gets its lines. */
    async bus(user: string, handlers: Handlers = {}, at = port, lines: string[] = []): Promise<Bus> {
      const log = createLog('fatal', user);
      for (const level of ['warn', 'error'] as const)
        log[level] = ((facts: unknown, text: string) => void lines.push(text)) as never;
      const bus = connectBus({
        settings: loadSettings({ file: '/nonexistent', env: environment(user, at) }),
        target: user,
        dispatcher: createDispatcher(handlers, () => undefined),
        log,
      });
      opened.push(bus);
      let ready = false;
      bus.onConnect(() => (ready = true));
      if (at === port) await until(() => ready, `${user} is connected`);
      return bus;
    },
    /** A bare client, which hears `filters` into `heard`. */
    async raw(clientId: string, filters: string[] = [], will?: { topic: string; text: string }) {
      const heard: { topic: string; text: string; body: Record<string, unknown> }[] = [];
      const client = await connectAsync({
        host: '127.0.0.1',
        port,
        clientId,
        username: clientId.split('-')[0],
        password: 'right',
        ...(will
          ? { will: { topic: will.topic, payload: Buffer.from(will.text), qos: 1 as const, retain: true } }
          : {}),
      });
      raws.push(client);
      client.on('message', (topic, payload) => {
        const text = payload.toString();
        heard.push({ topic, text, body: text ? (JSON.parse(text) as Record<string, unknown>) : {} });
      });
      if (filters.length > 0) {
        await client.subscribeAsync(filters, { qos: 1 });
        client.on('connect', () => void client.subscribeAsync(filters, { qos: 1 }).catch(() => undefined));
      }
      return {
        heard,
        client,
        on: (topic: string) => heard.filter((one) => one.topic === topic),
        send: (topic: string, body: object | string) =>
          client.publishAsync(topic, typeof body === 'string' ? body : JSON.stringify(body), { qos: 1 }),
      };
    },
    async close(): Promise<void> {
      for (const client of raws) await client.endAsync(true);
      await Promise.all(opened.map((bus) => bus.close()));
      await kill();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Stands between a client and the broker and does what bad networks and other brokers do. */
export async function badProxy(port: number) {
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
    const broker = connect({ port, host: '127.0.0.1', noDelay: true });
    const pair: [Socket, Socket] = [client, broker];
    pairs.add(pair);
    const end = () => {
      for (const one of pair) one.destroy();
      pairs.delete(pair);
    };
    const asked = new Map<number, string[]>();
    const pass = (from: Socket, to: Socket, change: (packet: Packet) => Packet | undefined) => {
      const parser = mqtt.parser();
      from.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
      from.on('error', end).on('close', end);
      parser.on('packet', (packet: Packet) => {
        const changed = change(packet);
        if (changed && !to.destroyed) to.write(mqtt.generate(changed));
      });
    };
    pass(client, broker, (packet) => {
      if (packet.cmd === 'subscribe') {
        const filters = packet.subscriptions.map((one) => one.topic);
        const { messageId = 0 } = packet;
        asked.set(messageId, filters);
        const subscriptions = packet.subscriptions.filter((one) => !rules.refused.has(one.topic));
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
      const filters = asked.get(packet.messageId ?? 0) ?? [];
      const codes = [...(packet.granted as number[])];
      const granted = filters.map((filter) => (rules.refused.has(filter) ? 0x80 : codes.shift()));
      return { ...packet, granted } as Packet;
    });
  });
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
