import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MqttClient, connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashPassword } from '../../broker/users.ts';
import { channels } from '../../shared/contract/channels.ts';
import { freePort } from './free-port.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-listen-'));
const cli = new URL('../../cli/main.ts', import.meta.url).pathname;
const children: ChildProcess[] = [];
const clients: Record<string, MqttClient> = {};
let broker: ChildProcess;
let port = 0;

const state = channels['vserverState']?.example as object;
const event = channels['hostEvent']?.example as object;
const status = channels['hostStatus']?.example as object;
const of = (topic: string) => `vs/1/hosts/host1/${topic}`;

function start(words: string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [cli, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      VS_CONFIG_DIR: directory,
      VS_STATE_DIR: directory,
      VS_LOG_LEVEL: 'error',
      ...environment,
    },
  });
  children.push(child);
  return child;
}
/** `vs listen` in the background. */
function listen(user: string, ...words: string[]) {
  const child = start(['listen', ...words], {
    VS_BROKER_URL: `mqtt://127.0.0.1:${port}`,
    VS_BROKER_USER: user,
    VS_BROKER_PASSWORD_FILE: join(directory, `${user}.password`),
  });
  const out = { text: '', errors: '' };
  child.stdout?.on('data', (chunk: Buffer) => (out.text += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (out.errors += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  const lines = () => out.text.split('\n').filter((one) => one !== '');
  return { child, out, ended, lines };
}
/** The same, once it has heard a retained message: whatever is published from then on reaches it. */
async function listening(user: string, ...words: string[]) {
  const one = listen(user, ...words);
  await until(() => one.lines().length > 0, `${user} hears ${words.join(' ')}: ${one.out.errors}`);
  await sleep(100);
  return { ...one, lines: () => one.lines().slice(1) };
}
async function until(what: () => boolean, why: string): Promise<void> {
  const end = Date.now() + 8000;
  while (!what()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await sleep(20);
  }
}
const publish = (user: string, topic: string, payload: object | string, retain = false) =>
  clients[user]?.publishAsync(topic, typeof payload === 'string' ? payload : JSON.stringify(payload), {
    qos: 1,
    retain,
  });

beforeAll(async () => {
  const users: Record<string, object> = {};
  for (const [name, role] of Object.entries({ host1: 'agent', operator: 'operator', viewer: 'viewer' })) {
    users[name] = { role, ...(await hashPassword(name)) };
    writeFileSync(join(directory, `${name}.password`), name, { mode: 0o600 });
  }
  writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
  port = await freePort();
  broker = start(['service', 'broker'], {
    VS_BROKER_LISTEN: `127.0.0.1:${port}`,
    VS_BROKER_USERS: join(directory, 'users.json'),
  });
  for (let reached = false; !reached; await sleep(50)) {
    reached = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
    });
  }
  for (const user of ['host1', 'operator'])
    clients[user] = await connectAsync({
      host: '127.0.0.1',
      port,
      clientId: `${user}-test`,
      username: user,
      password: user,
      reconnectPeriod: 0,
    });
  await publish('host1', of('status'), status, true);
});
afterAll(async () => {
  for (const client of Object.values(clients)) await client.endAsync(true);
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }
  rmSync(directory, { recursive: true });
});

test('retained state comes at once; --count ends with 0; the filter may have the base or not', async () => {
  for (const filter of ['hosts/+/status', 'vs/1/hosts/+/status']) {
    const { ended, lines } = listen('viewer', filter, '--count', '1');
    expect(await ended).toBe(0);
    expect(lines()).toEqual([
      expect.stringMatching(
        /^\d\d:\d\d:\d\d\.\d{3} {2}hosts\/host1\/status {2}\(retained\) \{"state":"online",/,
      ),
    ]);
  }
});

test('--count is exact, also when more messages come in one piece', async () => {
  for (const name of ['web7', 'web8', 'web9'])
    await publish('host1', of(`vservers/${name}/state`), { ...state, name }, true);
  const { ended, lines } = listen('viewer', 'hosts/#', '--count', '2');
  expect([await ended, lines().length]).toEqual([0, 2]);
  for (const name of ['web7', 'web8', 'web9']) await publish('host1', of(`vservers/${name}/state`), '', true);
});

test('--json: one object a line, with the whole topic, the schema and what is wrong', async () => {
  const { ended, lines } = listen('viewer', 'hosts/host1/status', '--count', '1', '--json');
  expect(await ended).toBe(0);
  expect(JSON.parse(lines()[0] ?? '')).toEqual({
    at: expect.any(Number) as number,
    topic: of('status'),
    retained: true,
    schema: 'Status',
    faults: [],
    payload: status,
  });
});

test('what does not fit its schema is marked, and what fits is not', async () => {
  const heard = await listening('operator', 'hosts/host1/#');
  await publish('host1', of('vservers/web1/state'), state);
  await publish('host1', of('vservers/web1/state'), { ...state, address: 'nowhere', epoch: -1 });
  await publish('host1', of('events/network'), event);
  await publish('host1', of('events/network'), { event: 'x' });
  await publish('host1', of('metrics'), { ts: 1, cpu: { user: 1 } });
  await publish('host1', of('metrics'), '{broken');
  await publish('host1', of('vservers/web1/state'), '');
  await publish('host1', of('weather'), { rain: true });
  await publish('operator', of('commands/host-agent/stop'), { args: { name: 'web1' } });
  await publish('operator', of('commands/host-agent/stop'), { args: { name: 'web1', now: true } });
  await until(() => heard.lines().length >= 10, 'ten messages');
  const faults = heard.lines().map((one) => /! (.*?) {2}/.exec(one)?.[1] ?? '');
  expect(faults).toEqual([
    '',
    expect.stringMatching(/^address: .*; epoch: /),
    '',
    expect.stringMatching(/^ts: .*; message: /),
    expect.stringMatching(/^cpu: /),
    'it is not JSON',
    '',
    'the contract has no such topic',
    '',
    expect.stringMatching(/^args: .*now/),
  ]);
  expect(heard.lines()[6]).toContain('(empty: the vserver is gone from this host)');
  heard.child.kill();
});

test('--pretty shows schema, faults and the payload on lines of their own', async () => {
  const heard = await listening('operator', 'hosts/host1/#', '--pretty', '--count', '2');
  await publish('host1', of('events/network'), { ...event, vserver: 5 });
  expect(await heard.ended).toBe(0);
  expect(heard.out.text.slice(heard.out.text.indexOf('hosts/host1/events'))).toMatch(
    /^hosts\/host1\/events\/network {2}Event\n {2}! vserver: .*\n {2}\{\n {4}"ts": \d+,\n(.*\n)+ {2}\}\n$/,
  );
});

test('--for ends with 0, with --count and too few messages with 4, and tells why', async () => {
  const quiet = listen('viewer', 'sagas/#', '--for', '0.5');
  const few = listen('viewer', 'hosts/host1/status', '--for', '0.5', '--count', '2');
  const many = listen('viewer', 'hosts/host1/status', '--for', '60', '--count', '1');
  expect([await quiet.ended, quiet.out]).toEqual([0, { text: '', errors: '' }]);
  expect(await few.ended).toBe(4);
  expect(few.lines()).toHaveLength(1);
  expect(few.out.errors).toBe('vs: 1 of 2 messages came on vs/1/hosts/host1/status within 0.5 s.\n');
  expect(await many.ended).toBe(0); // at once: no timer holds it
});

test('a viewer hears no commands; an operator does', async () => {
  const viewer = await listening('viewer', 'hosts/#');
  const operator = await listening('operator', 'hosts/#');
  await publish('operator', of('commands/network/list'), {});
  await publish('host1', of('vservers/web1/state'), state);
  await until(() => viewer.lines().length > 0 && operator.lines().length > 1, 'the state');
  expect(viewer.lines().map((one) => one.split('  ')[1])).toEqual(['hosts/host1/vservers/web1/state']);
  expect(operator.lines()[0]).toContain('hosts/host1/commands/network/list');
  viewer.child.kill();
  operator.child.kill();
});

test('a filter that the broker refuses ends with 1 and says so', async () => {
  const { ended, out } = listen('viewer', 'hosts/host1/events/network', '--for', '5');
  expect([await ended, out.errors]).toEqual([
    1,
    'vs: The broker lets viewer not hear vs/1/hosts/host1/events/network.\n',
  ]);
});

test('a wrong password and a broker that goes away end with 4', async () => {
  writeFileSync(join(directory, 'viewer.password'), 'guess');
  const wrong = listen('viewer', '#');
  expect(await wrong.ended).toBe(4);
  expect(wrong.out.errors).toContain('wrong user or password');
  const heard = await listening('operator', 'hosts/#');
  broker.kill('SIGKILL');
  expect(await heard.ended).toBe(4);
  expect(heard.out.errors).toMatch(/^vs: The (connection to the )?broker .*\n$/);
});
