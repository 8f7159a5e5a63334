import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls';
import { type IClientOptions, type MqttClient, connectAsync } from 'mqtt';
import mqtt, { type Packet } from 'mqtt-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from './free-port.ts';
import { MB, cli, server, tlsBroker, until } from './tls-kit.ts';

let broker: Awaited<ReturnType<typeof tlsBroker>>;
const clients: MqttClient[] = [];
const sockets: TLSSocket[] = [];
beforeAll(async () => {
  broker = await tlsBroker();
});
afterAll(async () => {
  for (const client of clients) await client.endAsync(true);
  for (const socket of sockets) socket.destroy();
  await broker.stop();
});
const command = 'vs/1/hosts/nobody/commands/host-agent/stop';
const pem = (file: string) => readFileSync(file);
const keysOf = ({ cert, key }: { cert: string; key: string }) => ({ cert: pem(cert), key: pem(key) });

async function enter(user: string, more: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync({
    protocol: 'mqtts',
    host: 'localhost',
    port: broker.ports.tls,
    ca: pem(broker.own.ca),
    clientId: `${user}-${clients.length}`,
    username: user,
    password: 'right',
    reconnectPeriod: 0,
    ...more,
  });
  clients.push(client);
  return client;
}
/** What a client that shows this certificate and no password is told: 'entered', or why not. */
const showing = (files: { cert: string; key: string }, user: string, more: IClientOptions = {}) =>
  enter(user, { ...keysOf(files), password: undefined, ...more } as IClientOptions).then(
    () => 'entered',
    (error: Error) => error.message,
  );
/** A TLS connection that speaks MQTT byte by byte. */
async function speak(more: ConnectionOptions = {}) {
  const socket = connectTls({
    port: broker.ports.tls,
    host: 'localhost',
    ca: pem(broker.own.ca),
    ...more,
  });
  sockets.push(socket);
  const words: string[] = [];
  const parser = mqtt.parser();
  parser.on('packet', (packet: Packet) => void words.push(packet.cmd));
  socket.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  socket.on('error', () => undefined);
  return { socket, words, send: (packet: Packet) => void socket.write(mqtt.generate(packet)) };
}
const hello = (user: string, more: object = {}): Packet => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clean: true,
  clientId: user,
  username: user,
  password: Buffer.from('right'),
  keepalive: 60,
  ...more,
});

test('what comes right behind CONNECT waits for the authentication, however the records fall', async () => {
  const subscribe: Packet = {
    cmd: 'subscribe',
    messageId: 7,
    subscriptions: [{ topic: 'vs/1/hosts/+/status', qos: 1 }],
  };
  for (let round = 0; round < 20; round++) {
    const { socket, send, words } = await speak();
    await sleep(5); // the handshake has ended at the broker, too
    const answers: Packet[] = [];
    const parser = mqtt.parser().on('packet', (packet: Packet) => void answers.push(packet));
    socket.on('data', (chunk) => void parser.parse(Buffer.from(chunk)));
    process.kill(broker.pid, 'SIGSTOP'); // so that it finds both at once, each in a record of its own
    send(hello('operator', { clientId: `operator-behind${round}` }));
    await new Promise((resolve) => setImmediate(resolve));
    send(subscribe);
    await sleep(5);
    process.kill(broker.pid, 'SIGCONT');
    await until(() => words.length >= 2, `round ${round}: ${words.join()}`);
    expect(answers).toMatchObject([{ returnCode: 0 }, { cmd: 'suback', granted: [1] }]);
    socket.destroy();
  }
});

test('what vs and mosquitto_pub publish over TLS arrives at mqtt.js, and vs hears what mqtt.js retains', async () => {
  const hearer = await enter('operator');
  const heard: string[] = [];
  hearer.on('message', (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
  await hearer.subscribeAsync(['vs/1/hosts/nobody/commands/#', 'vs/1/hosts/host1/status'], { qos: 1 });
  expect(broker.vs(['call', 'nobody', 'host-agent.stop', '{"name":"web1"}']).status).toBe(1); // there is no such host
  const sign = `--cafile ${broker.own.ca} -h localhost -p ${broker.ports.tls} -u operator -P right -i operator-pub`;
  execFileSync('mosquitto_pub', [...sign.split(' '), '-q', '1', '-t', command, '-m', 'from mosquitto']);
  await until(() => heard.length >= 2, 'two commands');
  expect(heard).toContainEqual(expect.stringMatching(/^.*host-agent\/stop \{.*"name":"web1"/));
  expect(heard).toContain(`${command} from mosquitto`);
  const host = await enter('host1');
  const status = { state: 'online', session: '00000000-0000-4000-8000-000000000000', ts: 1 };
  await host.publishAsync('vs/1/hosts/host1/status', JSON.stringify(status), { qos: 1, retain: true });
  const listened = broker.vs(['listen', 'hosts/host1/status', '--count', '1', '--json']);
  expect(listened.status, listened.stderr).toBe(0);
  expect(JSON.parse(listened.stdout)).toMatchObject({ payload: status });
});

test('a good client certificate needs no password, and is its user and nobody else', async () => {
  const good = broker.own.issue('host1');
  expect(await showing(good, 'host1')).toBe('entered');
  expect(await showing(good, 'host1', { username: undefined })).toBe('entered');
  expect(await showing(good, 'operator', { password: 'right' })).toMatch(/Bad username or password/);
  expect(await showing(good, 'operator', { username: undefined })).toMatch(/Identifier rejected/); // its client id
  expect(await enter('operator').then(() => 'entered')).toBe('entered'); // without one the password counts
});

test('a client certificate that does not count is refused, also with the right password', async () => {
  const { own, foreign } = broker;
  const wrong = {
    'another authority': foreign.issue('stranger', { cn: 'host1' }),
    expired: own.issue('old', { cn: 'host1', days: -1 }),
    'made for a server': own.issue('misused', { cn: 'host1', usage: 'serverAuth' }),
    'two common names': own.issue('twofold', { cn: 'host1/CN=operator' }),
  };
  for (const [why, files] of Object.entries(wrong))
    expect([why, await showing(files, 'host1', { password: 'right' })]).toEqual([
      why,
      expect.stringContaining('Bad username or password'),
    ]);
  expect(await showing(own.issue('ghost'), 'ghost')).toContain('Bad username or password');
  expect(broker.log.text).toContain('client certificate refused');
});

test('TLS 1.1 is refused, 1.2 and 1.3 are not; 1.2 has forward secrecy only, and no session is resumed', async () => {
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
  await expect(speak(old)).rejects.toThrow(/protocol version/);
  await expect(speak({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' })).rejects.toThrow(
    /handshake failure/,
  );
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const sessions: Buffer[] = [];
    const first = await speak({ minVersion: version, maxVersion: version });
    first.socket.on('session', (one) => sessions.push(one));
    expect(first.socket.getProtocol()).toBe(version);
    await sleep(100);
    const session = sessions[0] ?? first.socket.getSession();
    const second = await speak({ minVersion: version, maxVersion: version, session });
    expect([version, second.socket.isSessionReused()]).toEqual([version, false]);
  }
});

test('G6 over TLS: a CONNECT of 40 kB and a publish of 2 MB end the connection and are delivered nowhere', async () => {
  const stranger = await speak();
  const will = { topic: 'x', payload: Buffer.alloc(40_000), qos: 0, retain: false };
  stranger.send(hello('viewer', { will }));
  await until(() => stranger.socket.destroyed || stranger.words.length > 0, 'an answer');
  expect(stranger.words).toEqual([]);
  const hearer = await enter('operator');
  const heard: number[] = [];
  hearer.on('message', (_topic, payload) => heard.push(payload.length));
  await hearer.subscribeAsync('vs/1/hosts/nobody/commands/#', { qos: 1 });
  const sender = await enter('operator');
  let lost = false;
  sender.on('close', () => (lost = true)).on('error', () => undefined);
  sender.publish(command, Buffer.alloc(2 * MB, 'x'), { qos: 1 }, () => undefined);
  await until(() => lost, 'the end of the sender');
  await hearer.publishAsync(command, Buffer.alloc(1_000_000, 'x'), { qos: 1 });
  await until(() => heard.length > 0, 'a smaller one');
  expect(heard).toEqual([1_000_000]);
});

test('G1 over TLS: fragments, and 500 kB behind a CONNECT whose password is being looked at', async () => {
  const one = await speak();
  const payload = Buffer.alloc(500_000, 'x');
  const publish = {
    cmd: 'publish',
    topic: command,
    payload,
    qos: 1,
    dup: false,
    retain: false,
    messageId: 9,
  };
  const bytes = Buffer.concat(
    [hello('viewer'), publish as Packet, { cmd: 'pingreq' } as const].map((each) => mqtt.generate(each)),
  );
  for (let at = 0; at < 100; at += 7) {
    one.socket.write(bytes.subarray(at, Math.min(at + 7, 100)));
    await sleep(1);
  }
  one.socket.write(bytes.subarray(100));
  await until(() => one.words.length === 3, `every answer, not only ${one.words.join(' ')}`);
  expect(one.words.toSorted()).toEqual(['connack', 'pingresp', 'puback']);
});

test('G4 over TLS: a subscriber that does not read does not stop the others', async () => {
  const frozen = await speak();
  frozen.send(hello('operator', { clientId: 'operator-frozen' }));
  frozen.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: 'vs/1/hosts/nobody/commands/#', qos: 1 }],
  });
  await until(() => frozen.words.length === 2, 'suback');
  frozen.socket.pause();
  const sender = await enter('operator');
  const begin = performance.now();
  // More than kernels keep; then 1 MB waits, which is more messages than aedes has in hand at a time.
  for (let number = 0; number < 5000; number++) sender.publish(command, Buffer.alloc(3000, 'x'), { qos: 0 });
  await sender.publishAsync(command, 'the last', { qos: 1 });
  const other = await enter('operator');
  await other.subscribeAsync('vs/1/hosts/host1/commands/#', { qos: 1 });
  const heard = new Promise((resolve) => other.once('message', resolve));
  await sender.publishAsync('vs/1/hosts/host1/commands/a/b', '{}', { qos: 1 });
  await heard;
  expect(performance.now() - begin).toBeLessThan(25_000);
});

test('a renewed certificate is shown to new connections, broken files change nothing, old connections live', async () => {
  const before = await enter('operator');
  const serial = async () => (await speak()).socket.getPeerX509Certificate()?.serialNumber;
  const first = await serial();
  const fresh = broker.own.issue('renewed', server);
  const at = (file: string) => join(broker.directory, file);
  copyFileSync(fresh.cert, at('new.pem'));
  renameSync(at('new.pem'), at('broker.pem')); // the key does not belong to it yet
  await until(() => broker.log.text.includes('the old ones stay in use'), 'the fault');
  expect(await serial()).toBe(first);
  copyFileSync(fresh.key, at('broker.key'));
  await until(() => broker.log.text.includes('certificates renewed'), 'the renewal');
  expect(await serial()).not.toBe(first);
  expect(before.connected).toBe(true);
  expect(spawnSync('kill', ['-0', String(broker.pid)]).status).toBe(0);
});

/** Starts a broker, ends it once it listens; what it ended with and what it said. */
async function trial(environment: NodeJS.ProcessEnv, inherited?: number) {
  const child = spawn(process.execPath, [cli, 'service', 'broker'], {
    stdio: ['ignore', 'pipe', 'pipe', inherited ?? 'ignore'],
    env: {
      ...process.env,
      VS_CONFIG_DIR: broker.directory,
      VS_STATE_DIR: join(broker.directory, `state-${Math.random()}`),
      VS_BROKER_USERS: join(broker.directory, 'users.json'),
      ...environment,
    },
  });
  let text = '';
  let stop: NodeJS.Timeout | undefined;
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('"listening"')) stop ??= setTimeout(() => child.kill('SIGTERM'), 300);
    });
  const ended = await new Promise((resolve) => child.once('close', resolve));
  return { ended, text };
}
test.each([
  ['0.0.0.0:PORT', {}, 2],
  ['[::]:PORT', {}, 2],
  ['127.0.0.1:PORT,:PORT', {}, 2],
  ['127.0.0.1:PORT', {}, 0],
  ['[::1]:PORT', {}, 0],
  ['0.0.0.0:PORT', { VS_BROKER_PLAIN_OUTSIDE: 'yes' }, 0],
  ['127.0.0.1:PORT', { VS_BROKER_TLS_LISTEN: '127.0.0.1:1' }, 2],
  [
    '127.0.0.1:PORT',
    { VS_BROKER_TLS_LISTEN: '127.0.0.1:1', VS_BROKER_TLS_CERT: '/none', VS_BROKER_TLS_KEY: '/none' },
    2,
  ],
  ['127.0.0.1', {}, 2],
])('a plain listener on %s with %j: exit code %i', async (listen, environment, code) => {
  const port = String(await freePort());
  const { ended, text } = await trial({ VS_BROKER_LISTEN: listen.replaceAll('PORT', port), ...environment });
  expect(text).not.toContain('    at ');
  expect(ended, text).toBe(code);
});

test.each([
  ['0.0.0.0', 'no', 2],
  ['0.0.0.0', 'yes', 0],
  ['127.0.0.1', 'no', 0],
])('an inherited socket on %s with BROKER_PLAIN_OUTSIDE=%s: exit code %i', async (host, outside, code) => {
  const inherited = createServer();
  await new Promise<void>((resolve) => inherited.listen(0, host, resolve));
  const { fd } = (inherited as unknown as { _handle: { fd: number } })._handle;
  const environment = { VS_BROKER_LISTEN: '', VS_BROKER_PLAIN_OUTSIDE: outside, LISTEN_FDS: '1' };
  const { ended, text } = await trial(environment, fd);
  inherited.close();
  expect(ended, text).toBe(code);
});
