import { execFile } from 'node:child_process';
import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type IClientOptions, connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { usersIn } from '../../broker/users-file.ts';
import { cli, realBroker, until } from './bus-kit.ts';

const events = 'vs/1/master/events/broker';
let broker: Awaited<ReturnType<typeof realBroker>>;
let hearer: Awaited<ReturnType<typeof broker.raw>>;
const file = () => join(broker.directory, 'broker-users.json');
const told = (event: string) =>
  hearer.heard.filter((one) => one.body['event'] === event).map((one) => one.body);

beforeAll(async () => {
  broker = await realBroker({ VS_BROKER_QUEUE_MESSAGES: '5' });
  await usersIn(file()).add('bert', { role: 'operator' }, 'right-one');
  hearer = await broker.raw('operator-hearer', [events]);
});
afterAll(() => broker.close());

/** `vs user ...` as a process of its own. */
function user(args: string[], input = ''): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, VS_CONFIG_DIR: broker.directory, VS_BROKER_USERS: file() };
    const child = execFile(process.execPath, [cli, 'user', ...args], { env }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
    child.stdin?.end(input);
  });
}
/** A client that does not come again by itself. */
async function enter(clientId: string, more: IClientOptions = {}) {
  const client = await connectAsync({
    host: '127.0.0.1',
    port: broker.port,
    clientId,
    username: clientId.split('-')[0] ?? '',
    password: 'right-one',
    reconnectPeriod: 0,
    ...more,
  });
  const heard: string[] = [];
  let gone = false;
  client.on('message', (topic) => void heard.push(topic));
  client.on('close', () => (gone = true));
  return { client, heard, gone: () => gone };
}

test('a removed user loses its connections at once, its will is not carried out, and others keep theirs', async () => {
  await usersIn(file()).add('anna', { role: 'operator' }, 'right-one');
  const command = 'vs/1/hosts/host1/commands/host-agent/stop';
  const commands = await broker.raw('operator-commands', ['vs/1/hosts/+/commands/#']);
  const anna = await enter('anna-1', {
    will: { topic: command, payload: Buffer.from('{}'), qos: 1, retain: false },
  });
  const bert = await enter('bert-1');
  expect((await user(['remove', 'anna'])).code).toBe(0);
  await until(anna.gone, 'the end of a removed user', 4000);
  await until(() => told('connection-ended').length === 1, 'the event');
  expect(told('connection-ended')[0]).toMatchObject({
    user: 'anna',
    client: 'anna-1',
    address: '127.0.0.1',
    reason: 'the user was removed',
  });
  await expect(enter('anna-1')).rejects.toThrow(/bad username or password/i);
  await sleep(300);
  expect(commands.heard).toEqual([]);
  expect(bert.gone()).toBe(false);
});

test('a new password, and a new role, end the connections of that user; the old password is of no use', async () => {
  await usersIn(file()).add('cleo', { role: 'viewer' }, 'right-one');
  const first = await enter('cleo-1');
  expect((await user(['passwd', 'cleo'], 'right-two\n')).out).toBe('cleo has a new password.\n');
  await until(first.gone, 'the end after a new password', 4000);
  await expect(enter('cleo-1')).rejects.toThrow(/bad username or password/i);
  const second = await enter('cleo-1', { password: 'right-two' });
  const all = JSON.parse(readFileSync(file(), 'utf8')) as { users: Record<string, { role: string }> };
  all.users['cleo'] = { ...all.users['cleo'], role: 'operator' };
  writeFileSync(`${file()}.new`, JSON.stringify(all), { mode: 0o600 });
  renameSync(`${file()}.new`, file());
  await until(second.gone, 'the end after a new role', 4000);
});

test('a damaged or missing users file keeps the users it had, and is told', async () => {
  const good = readFileSync(file(), 'utf8');
  writeFileSync(file(), good.slice(0, -20));
  await until(() => told('users-file').length === 1, 'the event', 4000);
  expect(String(told('users-file')[0]?.['message'])).toMatch(
    /users\.json cannot be used .*the users before it stay$/s,
  );
  await enter('bert-2');
  unlinkSync(file());
  await sleep(1500);
  const still = await enter('bert-3');
  writeFileSync(file(), good, { mode: 0o600 });
  await sleep(1500);
  expect([still.gone(), hearer.client.connected]).toEqual([false, true]);
});

test('a user with filters of its own does what they say, and commands only where they say commands', async () => {
  const start = 'vs/1/hosts/+/commands/host-agent/start';
  const added = await user(
    ['add', 'dora', '--read', 'vs/1/hosts/+/status', 'vs/1/sagas/#', '--write', 'vs/1/hosts/#', start],
    'right-one\n',
  );
  expect(added).toEqual({ code: 0, out: 'dora is a user now, custom.\n', err: '' });
  const dora = await enter('dora-1');
  const hosts = await broker.raw('operator-hosts', ['vs/1/hosts/#']);
  for (const topic of [
    'vs/1/hosts/host1/commands/host-agent/stop',
    'vs/1/hosts/host1/replies/operator-hosts',
    'vs/1/master/status',
    'vs/1/hosts/host1/commands/host-agent/start',
    'vs/1/hosts/host1/status',
  ])
    await dora.client.publishAsync(topic, '{}', { qos: 1 });
  await until(() => hosts.heard.length >= 2, 'what is listed');
  await sleep(200);
  expect(hosts.heard.map((one) => one.topic)).toEqual([
    'vs/1/hosts/host1/commands/host-agent/start',
    'vs/1/hosts/host1/status',
  ]);
  await dora.client.subscribeAsync('#', { qos: 1 });
  for (const topic of [
    'vs/1/hosts/host1/info',
    'vs/1/hosts/host1/replies/operator-1',
    'vs/1/hosts/host1/replies/dora-1',
  ])
    await (await broker.raw('host1')).send(topic, {});
  await (await broker.raw('master')).send('vs/1/sagas/x/state', {});
  await until(() => dora.heard.includes('vs/1/sagas/x/state'), 'a listed topic');
  expect(new Set(dora.heard)).toEqual(new Set(['vs/1/hosts/host1/replies/dora-1', 'vs/1/sagas/x/state']));
  await expect(dora.client.subscribeAsync('vs/1/hosts/host1/info')).rejects.toThrow();
});

test('the list shows filters, and never a hash; what is no filter is refused', async () => {
  const { out } = await user(['list']);
  expect(out).toMatch(/^dora +custom +read vs\/1\/hosts\/\+\/status$/m);
  expect(out).toMatch(/^ +write vs\/1\/hosts\/#$/m);
  const json = (await user(['list', '--json'])).out;
  expect(JSON.parse(json)).toContainEqual({
    name: 'dora',
    role: 'custom',
    read: ['vs/1/hosts/+/status', 'vs/1/sagas/#'],
    write: ['vs/1/hosts/#', 'vs/1/hosts/+/commands/host-agent/start'],
  });
  const secrets = Object.values(
    (JSON.parse(readFileSync(file(), 'utf8')) as { users: Record<string, { hash: string; salt: string }> })
      .users,
  );
  for (const { hash, salt } of secrets)
    for (const text of [hash, salt]) expect(json + out).not.toContain(text);
  for (const wrong of ['vs/#/x', 'a+', '$share/x/y', 'a b', ''])
    expect(await user(['add', 'eve', '--read', wrong], 'right-one\n')).toMatchObject({ code: 2, out: '' });
  expect(await user(['add', 'eve'], 'right-one\n')).toMatchObject({ code: 2 });
  expect(await user(['add', 'eve', '--role', 'viewer', '--read', 'x'], 'right-one\n')).toMatchObject({
    code: 2,
  });
});

test('what is refused, and what a full queue drops, is told: who, from where, what, why, and not without end', async () => {
  const viewer = await broker.raw('viewer-1');
  const command = 'vs/1/hosts/host1/commands/host-agent/stop';
  for (let number = 0; number < 10; number++) await viewer.send(command, {});
  await viewer.client.subscribeAsync(command, { qos: 1 }).catch(() => undefined);
  await enter('viewer-2', { password: 'wrong\u001b[2J' }).catch(() => undefined);
  await enter('x\u001b[2J', { password: 'wrong' }).catch(() => undefined);
  await until(() => told('login-refused').length >= 3 && told('subscribe-refused').length > 0, 'the events');
  const about = { user: 'viewer', client: 'viewer-1', address: '127.0.0.1', topic: command };
  expect(told('publish-refused').filter((one) => one['user'] === 'viewer')).toEqual([
    expect.objectContaining({
      ...about,
      reason: 'not allowed for role viewer',
      message: `viewer as viewer-1 from 127.0.0.1 was not let publish to ${command}: not allowed for role viewer`,
    }),
  ]);
  expect(told('subscribe-refused').at(-1)).toMatchObject(about);
  expect(told('login-refused')).toContainEqual(
    expect.objectContaining({ user: 'viewer', client: 'viewer-2', reason: 'wrong user or password' }),
  );
  expect(hearer.heard.map((one) => String(one.body['message'])).join('')).not.toContain('\u001b');

  const slow = await enter('bert-slow', { clean: false });
  await slow.client.subscribeAsync('vs/1/hosts/+/events/+', { qos: 1 });
  await slow.client.endAsync();
  const host1 = await broker.raw('host1');
  for (let number = 0; number < 9; number++) await host1.send('vs/1/hosts/host1/events/test', {});
  await until(() => told('message-dropped').length === 1, 'what was dropped');
  expect(told('message-dropped')[0]).toMatchObject({
    user: 'bert',
    client: 'bert-slow',
    reason: 'its queue is full',
  });
});
