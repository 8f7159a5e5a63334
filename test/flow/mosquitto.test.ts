import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashPassword } from '../../broker/users.ts';
import { freePort } from './free-port.ts';

const installed = ['mosquitto_pub', 'mosquitto_sub'].every(
  (file) => spawnSync(file, ['--help']).error === undefined,
);
if (!installed) console.log('skipped: mosquitto_pub and mosquitto_sub (mosquitto-clients) are not installed');

const directory = mkdtempSync(join(tmpdir(), 'vslab-mosquitto-'));
const cli = new URL('../../cli/main.ts', import.meta.url).pathname;
const children: ChildProcess[] = [];
let port = 0;

/** A process of vs-tools, as its unit starts it. */
function service(names: string[], environment: NodeJS.ProcessEnv): void {
  const child = spawn(process.execPath, [cli, 'service', ...names], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, VS_CONFIG_DIR: directory, VS_LOG_LEVEL: 'error', ...environment },
  });
  children.push(child);
}
const options = (
  user: string,
  password = user,
  id = `${user}-${Math.random().toString(36).slice(2, 10)}`,
): string[] =>
  ['-h', '127.0.0.1', '-p', String(port), '-i', id, '-u', user].concat(['-P', password, '-q', '1']);
const pub = (user: string, topic: string, message: string, ...more: string[]) =>
  spawnSync(
    'mosquitto_pub',
    [...options(user), '-t', topic, ...(message ? ['-m', message] : ['-n']), ...more],
    {
      encoding: 'utf8',
      timeout: 10_000,
    },
  );
const sub = (user: string, ...more: string[]) =>
  spawnSync('mosquitto_sub', [...options(user), ...more], { encoding: 'utf8', timeout: 10_000 });

const mark = 'vs/1/hosts/host1/status';
/**
 * mosquitto_sub in the background: the lines "topic payload" that came so far. It hears the retained status of host1
 * too, so that its first line tells that it listens.
 */
async function listen(user: string, filter: string, id?: string) {
  const named = options(user, user, id);
  const child = spawn('mosquitto_sub', [...named, '-t', filter, '-t', mark, '-v'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await until(() => text.includes(mark), `${user} hears ${filter}`);
  await sleep(100);
  return () => text.split('\n').filter((line) => line && !line.startsWith(`${mark} `));
}
async function until(what: () => boolean, why: string): Promise<void> {
  const end = Date.now() + 8000;
  while (!what()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${why}`);
    await sleep(20);
  }
}
const parsed = (line: string | undefined) =>
  JSON.parse(line?.slice(line.indexOf(' ') + 1) ?? 'null') as Record<string, unknown>;

const command = 'vs/1/hosts/host1/commands/network/list';
const events = 'vs/1/hosts/host1/events/#';

describe.skipIf(!installed)('mosquitto_pub and mosquitto_sub', () => {
  beforeAll(async () => {
    const users: Record<string, object> = {};
    for (const [name, role] of Object.entries({ host1: 'agent', operator: 'operator', viewer: 'viewer' }))
      users[name] = { role, ...(await hashPassword(name)) };
    writeFileSync(join(directory, 'users.json'), JSON.stringify({ users }), { mode: 0o600 });
    writeFileSync(join(directory, 'password'), 'host1', { mode: 0o600 });
    mkdirSync(join(directory, 'vservers'));
    port = await freePort();
    service(['broker'], {
      VS_BROKER_LISTEN: `127.0.0.1:${port}`,
      VS_STATE_DIR: join(directory, 'broker-state'),
      VS_BROKER_USERS: join(directory, 'users.json'),
    });
    for (let reached = false; !reached; await sleep(50)) {
      reached = await new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(true));
        socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
      });
    }
    service(['network'], {
      VS_HOST: 'host1',
      VS_BROKER_URL: `mqtt://127.0.0.1:${port}`,
      VS_BROKER_USER: 'host1',
      VS_BROKER_PASSWORD_FILE: join(directory, 'password'),
      VS_VSERVER_DIR: join(directory, 'vservers'),
      VS_STATE_DIR: join(directory, 'state'),
      VS_RUN_DIR: join(directory, 'run'),
    });
    await listen('operator', 'vs/1/hosts/host1/info'); // host1 has reported
  });
  afterAll(async () => {
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        return gone;
      }),
    );
    rmSync(directory, { recursive: true });
  });

  test('retained state is there at once for who comes later: mosquitto_sub -C 1', () => {
    for (const user of ['viewer', 'operator']) {
      const { status, stdout } = sub(user, '-t', 'vs/1/hosts/+/status', '-C', '1', '-W', '5');
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ state: 'online' });
    }
  });

  test('a command without id and replyTo is carried out, and its result comes as an event', async () => {
    const heard = await listen('operator', events);
    expect(pub('operator', command, '{}').status).toBe(0);
    await until(() => heard().length > 0, 'the event');
    expect(heard()[0]).toMatch(/^vs\/1\/hosts\/host1\/events\/network /);
    expect(parsed(heard()[0])).toMatchObject({
      event: 'list',
      message: 'network.list was carried out',
      ts: expect.any(Number) as number,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
    // One that is refused tells why, as an event too.
    expect(
      pub('operator', 'vs/1/hosts/host1/commands/network/show', '{"args":{"network":"nosuch"},"issuer":"me"}')
        .status,
    ).toBe(0);
    await until(() => heard().length > 1, 'the event of the refused one');
    expect(parsed(heard()[1])).toMatchObject({
      event: 'failed',
      code: 'not-found',
      issuer: 'me',
      message: expect.stringContaining('host1 has no network nosuch') as string,
    });
  });

  test.each([
    ['no message at all', '', 'this is no command'],
    ['no JSON', '{broken', 'is not valid JSON'],
    ['a word', '"list"', 'this is no command'],
    ['a list', '[]', 'this is no command'],
    ['an unknown key', '{"arg":{}}', 'this is no command'],
    ['an unknown argument', '{"args":{"colour":"red"}}', 'wrong arguments of network.list'],
    ['a number for an id', '{"id":5}', 'this is no command'],
  ])('%s on a command topic: an event says what became of it', async (_, message, expected) => {
    const heard = await listen('operator', events);
    expect(pub('operator', command, message).status).toBe(0);
    await until(() => heard().length > 0, 'the event');
    expect(parsed(heard()[0])['message']).toContain(expected);
    expect(heard()[0]).not.toMatch(/\n| at .*\.ts/);
  });

  test('a command with id and replyTo is answered to who asked', async () => {
    const id = `operator-reply${process.pid}`;
    const heard = await listen('operator', `vs/1/hosts/+/replies/${id}`, id);
    const others = await listen('operator', 'vs/1/hosts/#');
    pub('operator', command, JSON.stringify({ id: 'mine', replyTo: `vs/1/hosts/host1/replies/${id}` }));
    await until(() => heard().length > 0, 'the reply');
    expect(heard()).toEqual([
      `vs/1/hosts/host1/replies/${id} {"id":"mine","ok":true,"data":{"networks":[],"taken":{"source":"file","held":[]}}}`,
    ]);
    await sleep(200);
    expect(others().filter((line) => line.startsWith('vs/1/hosts/host1/replies/'))).toEqual([]);
  });

  test('a viewer may not publish a command: it is delivered nowhere; an operator may', async () => {
    const commands = await listen('operator', 'vs/1/+/+/commands/#');
    const heard = await listen('operator', events);
    expect(pub('viewer', command, '{"issuer":"viewer"}').status).toBe(0); // taken, and dropped
    expect(pub('viewer', command, '{"issuer":"viewer"}', '-r').status).toBe(0);
    await sleep(500);
    expect([...commands(), ...heard()]).toEqual([]);
    expect(pub('operator', command, '{"issuer":"operator"}').status).toBe(0);
    await until(() => heard().length > 0 && commands().length > 0, 'the command and its event');
    expect(commands()).toEqual([`${command} {"issuer":"operator"}`]);
    expect(heard().map((line) => parsed(line)['issuer'])).toEqual(['operator']);
    const { stdout } = sub('operator', '-t', 'vs/1/hosts/+/commands/#', '-W', '1');
    expect(stdout).toBe(''); // nothing of it stands retained
  });

  test('a viewer hears state, and neither commands nor replies, also with #', async () => {
    const heard = await listen('viewer', '#');
    pub('operator', command, '{}');
    pub('operator', command, JSON.stringify({ id: 'x', replyTo: 'vs/1/hosts/host1/replies/viewer-other' }));
    await sleep(500);
    expect(heard()).toEqual([]);
  });

  test('neither operator nor viewer can forge state or clear what is retained', () => {
    for (const user of ['operator', 'viewer']) {
      pub(user, 'vs/1/hosts/host1/vservers/web9/state', '{"name":"web9"}', '-r');
      pub(user, 'vs/1/master/alerts/web9/saga', '{"message":"forged"}', '-r');
      pub(user, 'vs/1/hosts/host1/status', '', '-r');
    }
    const { stdout } = sub('operator', '-t', 'vs/1/#', '-W', '3', '-v');
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/^vs\/1\/hosts\/host1\/status \{"state":"online"/) as string,
    ]);
  });

  test('a wrong password, an unknown user and no user are refused', () => {
    const end = ['-t', command, '-m', '{}'];
    for (const [user, password] of [
      ['operator', 'guess'],
      ['nobody', 'nobody'],
    ] as const) {
      const { status, stderr } = spawnSync('mosquitto_pub', [...options(user, password), ...end], {
        encoding: 'utf8',
        timeout: 10_000,
      });
      expect([user, status !== 0, stderr]).toEqual([
        user,
        true,
        expect.stringMatching(/bad user name|not authori/i),
      ]);
    }
    const without = spawnSync('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(port), ...end], {
      timeout: 10_000,
    });
    expect(without.status).not.toBe(0);
  });
});
