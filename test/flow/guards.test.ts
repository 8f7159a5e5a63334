import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type Packet } from 'mqtt-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashPassword } from '../../broker/users.ts';
import { freePort } from './free-port.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-guards-'));
const cli = new URL('../../cli/main.ts', import.meta.url).pathname;
const MB = 1024 * 1024;
/** Each is used for one connection only, so that the broker has to derive the password while the fragments come. */
const crowd = Array.from({ length: 40 }, (_, number) => `crowd${number}`);
let broker: ChildProcess;
let port = 0;
const open: Socket[] = [];

/** A TCP connection that speaks MQTT byte by byte, as no client library does. */
function speak() {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  open.push(socket);
  const packets: Packet[] = [];
  const parser = mqtt.parser();
  let closed = false;
  parser.on('packet', (packet: Packet) => void packets.push(packet));
  socket.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  return {
    socket,
    packets,
    closed: () => closed,
    words: () => packets.map((one) => one.cmd),
    send: (packet: Packet) => void socket.write(mqtt.generate(packet)),
    topics: () => packets.flatMap((one) => (one.cmd === 'publish' ? [one.topic] : [])),
  };
}
type Speaker = ReturnType<typeof speak>;

const hello = (user: string, password = 'right'): Packet => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clean: true,
  clientId: user,
  username: user,
  password: Buffer.from(password),
  keepalive: 60,
});
const subscribe = (...filters: string[]): Packet => ({
  cmd: 'subscribe',
  messageId: 7,
  subscriptions: filters.map((topic) => ({ topic, qos: 1 as const })),
});
const publish = (topic: string, payload: string | Buffer, more: { qos?: 0 | 1 | 2; retain?: boolean } = {}) =>
  ({ cmd: 'publish', topic, payload, qos: 1, dup: false, retain: false, messageId: 9, ...more }) as Packet;
const bytesOf = (...packets: Packet[]) => Buffer.concat(packets.map((one) => mqtt.generate(one)));

async function until(what: () => boolean, why: string, ms = 8000): Promise<void> {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await sleep(10);
  }
}
async function enter(user: string, ...filters: string[]): Promise<Speaker> {
  const one = speak();
  one.send(hello(user));
  if (filters.length > 0) one.send(subscribe(...filters));
  await until(() => one.packets.length >= (filters.length > 0 ? 2 : 1), `${user} enters`);
  return one;
}
const memory = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8'))?.[1]) * 1024;

beforeAll(async () => {
  const secret = await hashPassword('right');
  const roles = { host1: 'agent', host2: 'agent', operator: 'operator', viewer: 'viewer' };
  const users = Object.fromEntries([
    ...Object.entries(roles).map(([name, role]) => [name, { role, ...secret }]),
    ...crowd.map((name) => [name, { role: 'operator', ...secret }]),
  ]) as object;
  writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
  port = await freePort();
  broker = spawn(process.execPath, [cli, 'service', 'broker'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      VS_CONFIG_DIR: directory,
      VS_STATE_DIR: directory,
      VS_BROKER_LISTEN: `127.0.0.1:${port}`,
      VS_BROKER_USERS: join(directory, 'users.json'),
      VS_LOG_LEVEL: 'error',
    },
  });
  for (let reached = false; !reached; await sleep(50)) {
    reached = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
    });
  }
});
afterAll(async () => {
  for (const socket of open) socket.destroy();
  const gone = new Promise((resolve) => broker.once('exit', resolve));
  broker.kill('SIGTERM');
  await gone;
  rmSync(directory, { recursive: true });
});

test('G1: forty connections whose CONNECT comes in fragments, with more behind it, all get every answer', async () => {
  const all = crowd.slice(0, 36).map((user) => ({ user, one: speak() }));
  await Promise.all(
    all.map(async ({ user, one }, number) => {
      const bytes = bytesOf(
        hello(user),
        subscribe(`vs/1/hosts/+/replies/${user}`, 'vs/1/hosts/+/status'),
        publish('vs/1/hosts/nobody/commands/host-agent/start', `{"n":${number}}`),
        { cmd: 'pingreq' },
      );
      // Fragments of another length for each connection; each leaves as a segment of its own.
      const length = 3 + (number % 12);
      for (let at = 0; at < bytes.length; at += length) {
        one.socket.write(bytes.subarray(at, at + length));
        await sleep(1 + (number % 4));
      }
    }),
  );
  await until(() => all.every(({ one }) => one.packets.length >= 4), 'every answer', 10_000).catch(
    () => undefined,
  );
  const short = all.filter(({ one }) => one.packets.length !== 4).map(({ one }) => one.words());
  expect(short, `${short.length} of ${all.length} connections stall`).toEqual([]);
  for (const { one } of all) {
    expect(one.words()[0]).toBe('connack'); // the order of the others is free: they belong to other exchanges
    expect(one.words().toSorted()).toEqual(['connack', 'pingresp', 'puback', 'suback']);
  }
});

test('G1: a payload of 500 kB that is sent behind the CONNECT, without waiting for its answer, arrives', async () => {
  const hearer = await enter('operator', 'vs/1/hosts/nobody/commands/#');
  const one = speak();
  const payload = Buffer.alloc(500_000, 'x');
  one.socket.write(
    bytesOf(hello(crowd[36] ?? ''), publish('vs/1/hosts/nobody/commands/host-agent/exec', payload)),
  );
  await until(() => one.words().includes('puback') || one.closed(), 'puback');
  expect(one.closed(), 'the broker ended the connection').toBe(false);
  await until(() => hearer.topics().length === 1, 'delivery');
  hearer.socket.destroy();
});

/** Announces a packet of 200 MB and sends of it what the broker takes, at most 24 MB; true once it is ended. */
async function flood(one: Speaker, firstByte: number): Promise<boolean> {
  one.socket.write(Buffer.from([firstByte, 0x80, 0x80, 0x80, 0x64])); // 100 * 128^3 bytes
  const chunk = Buffer.alloc(MB, 'x');
  for (let sent = 0; sent < 24 && !one.closed(); sent++) {
    await Promise.race([
      new Promise<void>((resolve) => one.socket.write(chunk, () => resolve())),
      sleep(2000),
    ]);
    await sleep(5);
  }
  await until(one.closed, 'the end of a flood', 3000).catch(() => undefined);
  return one.closed();
}

test.each([
  ['CONNECT', 0x10],
  ['PUBLISH', 0x32],
  ['SUBSCRIBE', 0x82],
])('G6: ten strangers that announce a %s of 200 MB are ended, and memory does not grow', async (_, byte) => {
  const before = memory();
  const ended = await Promise.all(Array.from({ length: 10 }, () => flood(speak(), byte)));
  const grown = memory() - before;
  expect(ended).toEqual(ended.map(() => true));
  expect(grown / MB, 'megabytes more').toBeLessThan(40);
});

test('G6: a stranger whose password is still being looked at cannot fill the memory either', async () => {
  const before = memory();
  const ended = await Promise.all(
    Array.from({ length: 10 }, (_, number) => {
      const one = speak();
      one.send(hello(`stranger${number}`, 'guess'));
      return flood(one, 0x32);
    }),
  );
  expect(ended).toEqual(ended.map(() => true));
  expect((memory() - before) / MB, 'megabytes more').toBeLessThan(80); // at most 4 MB wait for each
});

test('G6: what a stranger sends first may have 16 kB, also when it comes in one piece', async () => {
  const one = speak();
  const long = {
    ...hello('viewer'),
    will: { topic: 'x', payload: Buffer.alloc(40_000), qos: 0, retain: false },
  };
  one.send(long as Packet);
  await until(() => one.closed() || one.packets.length > 0, 'an answer');
  expect(one.words()).toEqual([]);
});

test.each([
  'on its own',
  'behind others that are still being handled',
  'behind a CONNECT that is still being handled',
])('G6: a publish of 2 MB, %s, is refused and delivered nowhere; others go on', async (how) => {
  const topic = 'vs/1/hosts/nobody/commands/host-agent/exec';
  const hearer = await enter('operator', 'vs/1/hosts/+/commands/#');
  const other = await enter('host1');
  const big = publish(topic, Buffer.alloc(2 * MB, 'x'));
  const one = how.includes('CONNECT') ? speak() : await enter(crowd[37] ?? '');
  const small = Array.from({ length: 20 }, () => publish('vs/1/hosts/nobody/commands/a/small', '1'));
  if (how.includes('CONNECT')) {
    one.send(hello(crowd[38] ?? ''));
    await sleep(15); // the broker has read the CONNECT and derives the password; what comes now waits in one heap
    one.socket.write(bytesOf(big));
  } else one.socket.write(how.includes('others') ? bytesOf(...small, big) : bytesOf(big));
  await until(one.closed, 'the end of the sender').catch(() => undefined);
  other.send(publish('vs/1/hosts/host1/status', '{}'));
  await until(() => other.words().includes('puback'), 'another client goes on');
  await sleep(300);
  expect(hearer.topics().filter((heard) => heard === topic)).toEqual([]);
  expect(one.closed(), 'the sender is ended').toBe(true);
  expect(hearer.closed()).toBe(false);
  hearer.socket.destroy();
  other.socket.destroy();
});

test('G6: a publish of a little less than 1 MB passes', async () => {
  const hearer = await enter('operator', 'vs/1/hosts/+/commands/#');
  const one = await enter(crowd[39] ?? '');
  one.send(publish('vs/1/hosts/nobody/commands/host-agent/exec', Buffer.alloc(1_000_000, 'x')));
  await until(() => hearer.topics().length === 1 && one.words().includes('puback'), 'delivery');
  expect(one.closed()).toBe(false);
  hearer.socket.destroy();
});

test('G5: a refused publish is acknowledged and delivered nowhere, and its connection lives', async () => {
  const hearer = await enter('operator', '#', '$denied/#', 'vs/1/#');
  hearer.packets.length = 0;
  const agent = await enter('host2');
  const viewer = await enter('viewer');
  const command = 'vs/1/hosts/host1/commands/host-agent/stop';
  for (const [speaker, topic] of [
    [agent, 'vs/1/hosts/host1/vservers/web1/state'],
    [agent, 'vs/1/hosts/host2/commands/host-agent/stop'],
    [agent, 'vs/1/master/status'],
    [agent, '$SYS/x/y'],
    [viewer, command],
    [viewer, 'vs/1/hosts/host1/status'],
  ] as const) {
    for (const retain of [false, true]) {
      speaker.packets.length = 0;
      speaker.send(publish(topic, '{"forged":true}', { retain }));
      await until(() => speaker.words().includes('puback'), `puback for ${topic}`);
    }
  }
  viewer.packets.length = 0;
  viewer.send(publish(command, '{}', { qos: 2 }));
  await until(() => viewer.words().includes('pubrec'), 'pubrec');
  viewer.send({ cmd: 'pubrel', messageId: 9 });
  await until(() => viewer.words().includes('pubcomp'), 'pubcomp');
  viewer.send(publish(command, '{}', { qos: 0 }));
  viewer.send({ cmd: 'pingreq' });
  await until(() => viewer.words().includes('pingresp'), 'pingresp');

  // The good message behind the refused ones comes through, on the same connection, and is the only one.
  agent.send(publish('vs/1/hosts/host2/status', '{"good":true}'));
  await until(() => hearer.topics().includes('vs/1/hosts/host2/status'), 'the good one');
  await sleep(300);
  const events = 'vs/1/master/events/broker'; // what was refused is told there
  expect(new Set(hearer.topics())).toEqual(new Set(['vs/1/hosts/host2/status', events]));
  expect([agent.closed(), viewer.closed(), hearer.closed()]).toEqual([false, false, false]);
  // Nor does it stand retained for who comes later.
  const later = await enter('operator', 'vs/1/#');
  await sleep(200);
  expect(later.topics()).toEqual([]);
});
