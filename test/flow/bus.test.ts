import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import mqttPacket from 'mqtt-packet';
import { runBroker } from '../../broker/main.ts';
import { hashPassword } from '../../broker/users.ts';
import { loadSettings } from '../../config/settings.ts';
import { connectAsync } from 'mqtt';
import { type Bus, connectBus } from '../../shared/bus.ts';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { createLog } from '../../shared/log.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-bus-'));
const socket = join(directory, 'broker.sock');
const opened: Bus[] = [];
let broker: Awaited<ReturnType<typeof runBroker>>;

const settingsOf = (user: string, password = user) => {
  const file = join(directory, `${user}.password`);
  writeFileSync(file, password, { mode: 0o600 });
  return loadSettings({
    file: '/nonexistent',
    env: {
      VS_HOST: user === 'host2' ? 'host2' : 'host1',
      VS_STATE_DIR: directory,
      VS_BROKER_URL: `unix://${socket}`,
      VS_BROKER_USER: user,
      VS_BROKER_PASSWORD_FILE: file,
      VS_BROKER_LISTEN: '127.0.0.1:0',
      VS_BROKER_SOCKET: socket,
      VS_BROKER_USERS: join(directory, 'users.json'),
      VS_LOG_LEVEL: 'error',
    },
  });
};

async function join_(user: string, handlers: Handlers = {}, password = user): Promise<Bus> {
  const settings = settingsOf(user, password);
  const bus = connectBus({
    settings,
    target: user,
    dispatcher: createDispatcher(handlers, () => undefined),
    log: createLog('fatal', user),
  });
  opened.push(bus);
  return bus;
}
const until = async (what: () => boolean, ms = 5000): Promise<void> => {
  const end = Date.now() + ms;
  while (!what()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
const state = {
  host: 'host1',
  name: 'web1',
  state: 'running',
  enabled: true,
  address: '10.0.0.5',
  mac: '02:00:00:00:00:01',
  network: 'blue',
  epoch: 1,
  uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
  limits: {},
  ts: 1,
} as const;

let carriedOut = 0;
const handlers: Handlers = {
  'host-agent.start': async (args, call) => {
    carriedOut++;
    call.progress({ message: 'half' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { ...state, name: args.name };
  },
};

beforeAll(async () => {
  const users: Record<string, object> = {};
  for (const [name, role] of [
    ['master', 'master'],
    ['host1', 'agent'],
    ['host2', 'agent'],
    ['operator', 'operator'],
    ['viewer', 'viewer'],
    ['slow', 'viewer'], // used once, so that its password is not remembered yet
  ] as const) {
    users[name] = { role, ...(await hashPassword(name)) };
  }
  writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
  broker = await runBroker(settingsOf('master'));
});
afterAll(async () => {
  for (const bus of opened) await bus.close();
  await broker.close();
  rmSync(directory, { recursive: true });
});

test('a command goes to the agent and comes back, with progress, and the same id is carried out once', async () => {
  const agent = await join_('host1', handlers);
  const master = await join_('master');
  await until(() => agent.connected && master.connected);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const progress: unknown[] = [];
  carriedOut = 0;
  const first = master.request(
    'host1',
    'host-agent.start',
    { name: 'web1' },
    { id: 'same', onProgress: (p) => progress.push(p) },
  );
  await until(() => progress.length > 0);
  const two = await agent.request('host1', 'host-agent.start', { name: 'web1' }, { id: 'same' }); // joins
  const one = await first;
  expect(one.state).toBe('running');
  expect(two).toEqual(one);
  expect(carriedOut).toBe(1);
  expect(progress).toEqual([{ message: 'half' }]);
});

test('bad arguments, unknown commands and too much are refused with a sentence', async () => {
  const master = await join_('master');
  await until(() => master.connected);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await expect(master.request('host1', 'host-agent.start', { name: '../etc' })).rejects.toThrow(
    /wrong arguments of host-agent.start: name/,
  );
  await expect(master.request('host1', 'host-agent.stop', { name: 'web1' })).rejects.toThrow(
    /there is no command host-agent.stop here/,
  );
  await expect(master.request('host1', 'host-agent.start', { name: 'x'.repeat(2_000_000) })).rejects.toThrow(
    /over the limit/,
  );
  await expect(
    master.request('host9', 'host-agent.start', { name: 'web1' }, { timeoutMs: 200 }),
  ).rejects.toMatchObject({ code: 'unavailable' });
});

test('an agent cannot speak as another host, a viewer cannot command, foreign replies stay unread', async () => {
  const agent2 = await join_('host2');
  const viewer = await join_('viewer');
  const operator = await join_('operator');
  const heard: string[] = [];
  await until(() => agent2.connected && viewer.connected && operator.connected);
  for (const bus of [viewer, operator]) await bus.subscribe('vs/1/#', (topic) => void heard.push(topic));
  carriedOut = 0;
  await agent2.publish('vs/1/hosts/host1/vservers/web1/state', state);
  await viewer.publish('vs/1/hosts/host1/commands/host-agent/start', { args: { name: 'web1' } });
  await agent2.publish('vs/1/hosts/host2/replies/master-xyz', { id: 'a', ok: true, data: {} });
  await agent2.publish('vs/1/hosts/host2/events/test', { ts: 1, event: 'mark', message: 'mark' });
  await until(() => heard.includes('vs/1/hosts/host2/events/test'));
  expect(heard.filter((topic) => topic.includes('host1/vservers') || topic.includes('replies'))).toEqual([]);
  expect(carriedOut).toBe(0);
  await operator.publish('vs/1/hosts/host1/commands/host-agent/start', { args: { name: 'web1' } });
  await until(() => carriedOut === 1);
});

test('a CONNECT that comes in fragments is answered (Node 26 hands out one chunk a read)', async () => {
  const bytes = mqttPacket.generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: 'slow-frag',
    username: 'slow',
    password: Buffer.from('slow'),
    keepalive: 10,
    clean: true,
  });
  const ping = mqttPacket.generate({ cmd: 'pingreq' });
  const stream = connect(broker.ports[0] ?? 0, '127.0.0.1');
  const codes: string[] = [];
  const parser = mqttPacket.parser();
  parser.on('packet', (packet) => void codes.push(packet.cmd));
  stream.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
  stream.setNoDelay(true);
  // Four pings arrive as chunks of their own while the password is still being derived.
  for (const part of [bytes.subarray(0, 5), bytes.subarray(5), ping, ping, ping, ping]) {
    stream.write(part);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  await until(() => codes.length === 5);
  expect(codes).toEqual(['connack', 'pingresp', 'pingresp', 'pingresp', 'pingresp']);
  stream.destroy();
});

test('a wrong password is refused, and an announcement of 256 MB ends the connection', async () => {
  const wrong = await join_('operator', {}, 'guess');
  await new Promise((resolve) => setTimeout(resolve, 800));
  expect(wrong.connected).toBe(false);
  const stream = connect(broker.ports[0] ?? 0, '127.0.0.1');
  let closed = false;
  stream.on('close', () => (closed = true));
  stream.on('error', () => undefined);
  stream.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0x00]));
  await until(() => closed);
});

const raw = (
  clientId: string,
  user: string,
  will?: { topic: string; payload: Buffer; retain: boolean; qos: 1 },
) =>
  connectAsync({
    host: '127.0.0.1',
    port: broker.ports[0] ?? 0,
    clientId,
    username: user,
    password: user,
    reconnectPeriod: 0,
    ...(will ? { will } : {}),
  });

test('past its deadline a command is refused; replyTo elsewhere and bad JSON carry nothing out', async () => {
  const client = await raw('operator-raw', 'operator');
  const heard: { topic: string; body: string }[] = [];
  client.on('message', (topic, body) => void heard.push({ topic, body: body.toString() }));
  await client.subscribeAsync(['vs/1/hosts/+/replies/operator-raw', 'vs/1/hosts/host1/events/+']);
  carriedOut = 0;
  const topic = 'vs/1/hosts/host1/commands/host-agent/start';
  const mine = 'vs/1/hosts/host1/replies/operator-raw';
  const args = { name: 'web1' };
  await client.publishAsync(topic, JSON.stringify({ id: 'late', replyTo: mine, deadline: 1, args }), {
    qos: 1,
  });
  await until(() => heard.some((one) => one.topic === mine && one.body.includes('"deadline"')));
  await client.publishAsync(topic, JSON.stringify({ id: 'x', replyTo: 'vs/1/master/status', args }), {
    qos: 1,
  });
  await until(() => heard.some((one) => one.body.includes('replyTo must be')));
  await client.publishAsync(topic, '{broken', { qos: 1 });
  await until(() => heard.some((one) => one.body.includes('is not valid JSON')));
  expect(carriedOut).toBe(0);
  await client.endAsync(true);
});

test('a late will of an earlier life does not leave the agent offline; a forbidden will is dropped', async () => {
  const watcher = await raw('operator-watch', 'operator');
  const seen: string[] = [];
  watcher.on('message', (topic, body) => void seen.push(`${topic} ${body.toString()}`));
  await watcher.subscribeAsync('vs/1/hosts/host1/status');
  const will = (session: string) => ({
    topic: 'vs/1/hosts/host1/status',
    payload: Buffer.from(JSON.stringify({ state: 'offline', session, ts: 1 })),
    retain: true,
    qos: 1 as const,
  });
  const forger = await raw('viewer-forger', 'viewer', will('forged'));
  forger.stream.destroy();
  const old = await raw('host1-old', 'host1', will('old'));
  old.stream.destroy();
  await until(() => seen.some((one) => one.includes('"old"')));
  await until(() => seen.at(-1)?.includes('online') === true);
  expect(seen.some((one) => one.includes('forged'))).toBe(false);
  await watcher.endAsync(true);
});

test('after a restart of the broker the agent tells its retained state again; meanwhile its own commands work', async () => {
  const agent = opened.find((one) => one.target === 'host1') as Bus;
  agent.retain(agent.topics.vserverState('host1', 'web1'), { ...state });
  // Acknowledged before the broker goes, or mqtt.js itself would send it again.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await broker.close();
  await until(() => !agent.connected);
  const own = await agent.request('host1', 'host-agent.start', { name: 'web1' });
  expect(own.state).toBe('running');
  await expect(agent.request('host2', 'host-agent.list', {})).rejects.toMatchObject({ code: 'unavailable' });
  broker = await runBroker(settingsOf('master'));
  await until(() => agent.connected, 10_000);
  const watcher = await raw('operator-again', 'operator');
  const seen: string[] = [];
  watcher.on('message', (topic) => void seen.push(topic));
  await watcher.subscribeAsync('vs/1/hosts/host1/#');
  await until(() => seen.includes('vs/1/hosts/host1/vservers/web1/state'));
  await until(() => seen.includes('vs/1/hosts/host1/status'));
  await watcher.endAsync(true);
});
