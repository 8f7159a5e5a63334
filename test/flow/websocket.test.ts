import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type IClientOptions, type MqttClient, connectAsync } from 'mqtt';
import mqtt, { type Packet } from 'mqtt-packet';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MB, tlsBroker, until } from './tls-kit.ts';

let broker: Awaited<ReturnType<typeof tlsBroker>>;
const clients: MqttClient[] = [];
const sockets: WebSocket[] = [];
beforeAll(async () => {
  broker = await tlsBroker();
});
afterAll(async () => {
  for (const client of clients) await client.endAsync(true);
  for (const socket of sockets) socket.terminate();
  await broker.stop();
});
const topic = 'vs/1/hosts/nobody/commands/host-agent/stop';
const ca = () => readFileSync(broker.own.ca);
const hello = (user: string, more: object = {}): Packet => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clean: true,
  clientId: `${user}-${sockets.length}`,
  username: user,
  password: Buffer.from('right'),
  keepalive: 60,
  ...more,
});
const publish = (payload: Buffer): Packet => ({
  cmd: 'publish',
  topic,
  payload,
  qos: 1,
  dup: false,
  retain: false,
  messageId: 9,
});
const subscribe: Packet = {
  cmd: 'subscribe',
  messageId: 7,
  subscriptions: [{ topic: 'vs/1/hosts/nobody/commands/#', qos: 1 }],
};

async function enter(user: string, more: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(`wss://localhost:${broker.ports.ws}`, {
    ca: ca(),
    clientId: `${user}-c${clients.length}`,
    username: user,
    password: 'right',
    reconnectPeriod: 0,
    ...more,
  });
  clients.push(client);
  return client;
}
/** A WebSocket that speaks MQTT byte by byte. */
async function speak(protocols: string[] = ['mqtt'], more: object = {}) {
  const socket = new WebSocket(`wss://localhost:${broker.ports.ws}`, protocols, { ca: ca(), ...more });
  sockets.push(socket);
  const packets: Packet[] = [];
  const messages: number[] = [];
  let closed = false;
  const parser = mqtt.parser();
  parser.on('packet', (packet: Packet) => void packets.push(packet));
  socket.on('message', (data: Buffer) => {
    messages.push(data.length);
    parser.parse(data);
  });
  socket.on('close', () => (closed = true));
  await new Promise<void>((resolve, reject) => socket.once('open', () => resolve()).once('error', reject));
  socket.on('error', () => undefined);
  return {
    socket,
    packets,
    messages,
    closed: () => closed,
    words: () => packets.map((one) => one.cmd),
    send: (...all: Packet[]) => socket.send(Buffer.concat(all.map((one) => mqtt.generate(one)))),
  };
}

test('mqtt.js publishes and hears by WebSocket over TLS, each packet in one message', async () => {
  const hearer = await enter('operator');
  const heard: string[] = [];
  hearer.on('message', (_topic, payload) => heard.push(payload.toString()));
  await hearer.subscribeAsync('vs/1/hosts/nobody/commands/#', { qos: 1 });
  const counter = await speak();
  counter.send(hello('operator'), subscribe);
  await until(() => counter.packets.length === 2, 'suback');
  counter.messages.length = 0;
  await (await enter('operator')).publishAsync(topic, '{"name":"web1"}', { qos: 1 });
  await until(() => heard.length > 0 && counter.packets.length === 3, 'the message');
  expect(heard).toEqual(['{"name":"web1"}']);
  expect(counter.messages, 'bytes of each WebSocket message').toHaveLength(1);
});

test('G1: CONNECT and what follows in frames of a few bytes, and in several frames of one message', async () => {
  const all = await Promise.all(Array.from({ length: 12 }, () => speak()));
  await Promise.all(
    all.map(async (one, number) => {
      const user = ['operator', 'viewer', 'host1', 'master'][number % 4] ?? '';
      const packets = [
        hello(user, { clientId: `${user}-f${number}` }),
        publish(Buffer.from('x')),
        { cmd: 'pingreq' },
      ];
      const bytes = Buffer.concat(packets.map((each) => mqtt.generate(each as Packet)));
      const length = 2 + number;
      for (let at = 0; at < bytes.length; at += length) {
        const last = at + length >= bytes.length;
        one.socket.send(bytes.subarray(at, at + length), { fin: number % 2 === 0 || last });
        await sleep(1 + (number % 3));
      }
    }),
  );
  await until(() => all.every((one) => one.packets.length === 3), 'every answer').catch(() => undefined);
  for (const one of all) expect(one.words().toSorted()).toEqual(['connack', 'pingresp', 'puback']);
});

test('G6: a CONNECT of 40 kB and 2 MB, in one message or in many, end the connection; nothing is delivered', async () => {
  const stranger = await speak();
  stranger.send(
    hello('viewer', { will: { topic: 'x', payload: Buffer.alloc(40_000), qos: 0, retain: false } }),
  );
  await until(() => stranger.closed() || stranger.packets.length > 0, 'the end of the stranger');
  expect(stranger.words()).toEqual([]);
  const hearer = await enter('operator');
  const heard: number[] = [];
  hearer.on('message', (_topic, payload) => heard.push(payload.length));
  await hearer.subscribeAsync('vs/1/hosts/nobody/commands/#', { qos: 1 });
  const big = mqtt.generate(publish(Buffer.alloc(2 * MB, 'x')));
  for (const piece of [big.length, 100_000]) {
    const sender = await speak();
    sender.send(hello('operator'));
    await until(() => sender.packets.length === 1, 'connack');
    for (let at = 0; at < big.length && !sender.closed(); at += piece) {
      sender.socket.send(big.subarray(at, at + piece));
      await sleep(2);
    }
    await until(sender.closed, `the end of a sender of pieces of ${piece}`);
  }
  await hearer.publishAsync(topic, Buffer.alloc(1_000_000, 'x'), { qos: 1 });
  await until(() => heard.length > 0, 'a smaller one');
  expect(heard).toEqual([1_000_000]);
});

test('a client certificate counts, but not from a web page: a browser shows it to any page', async () => {
  const { cert, key } = broker.own.issue('host1');
  const files = { cert: readFileSync(cert), key: readFileSync(key) };
  const words = async (more: object) => {
    const one = await speak(['mqtt'], more);
    one.send(hello('host1', { password: undefined, clientId: 'host1-x' }));
    await until(() => one.packets.length > 0, 'connack');
    return (one.packets[0] as { returnCode?: number }).returnCode;
  };
  expect(await words(files)).toBe(0);
  expect(await words({ ...files, origin: 'https://elsewhere.example' })).toBe(4);
  const stranger = broker.foreign.issue('host1');
  expect(await words({ cert: readFileSync(stranger.cert), key: readFileSync(stranger.key) })).toBe(4);
});

test('what is no MQTT is turned away: another subprotocol, none, text, plain HTTP, and a socket that says nothing', async () => {
  await expect(speak(['chat'])).rejects.toThrow(/400/);
  await expect(speak([])).rejects.toThrow(/400/);
  expect((await speak(['chat', 'mqtt'])).socket.protocol).toBe('mqtt');
  const text = await speak();
  const nobody = hello('viewer', { username: undefined, password: undefined }); // the others are no text
  text.socket.send(mqtt.generate(nobody).toString());
  await until(text.closed, 'the end of one that sends text');
  expect(text.words()).toEqual([]);
  const status = await new Promise((resolve, reject) =>
    get(`https://localhost:${broker.ports.ws}/`, { ca: ca() }, (answer) => resolve(answer.statusCode)).on(
      'error',
      reject,
    ),
  );
  expect(status).toBe(426);
  const mute = connectTls({ port: broker.ports.ws, host: 'localhost', ca: ca() });
  const begin = Date.now();
  await new Promise((resolve) => mute.once('close', resolve).resume());
  expect(Date.now() - begin).toBeLessThan(20_000);
});
