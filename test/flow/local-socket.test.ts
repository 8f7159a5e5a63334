import { type ChildProcess, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type Socket, connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectNear } from '../../cli/local.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import { type Handlers, createDispatcher } from '../../shared/dispatch.ts';
import { openLocal } from '../../shared/local/serve.ts';
import { createLog } from '../../shared/log.ts';
import { realBroker, startVs, until } from './bus-kit.ts';

const directory = mkdtempSync(join(tmpdir(), 'vslab-local-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Speaks lines, as anybody could. */
async function speak(path: string) {
  const heard: Record<string, unknown>[] = [];
  let rest = '';
  let closed = false;
  const socket: Socket = connectSocket({ path });
  socket.on('data', (chunk) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) heard.push(JSON.parse(line) as Record<string, unknown>);
  });
  socket.on('error', () => undefined).on('close', () => (closed = true));
  await until(() => heard.length > 0 || closed, 'the hello');
  return {
    heard,
    socket,
    isClosed: () => closed,
    say: (what: object | string) =>
      void socket.write(`${typeof what === 'string' ? what : JSON.stringify(what)}\n`),
    answer: (id: string) => heard.find((one) => one['id'] === id && 'ok' in one),
  };
}

describe('the socket of an agent', () => {
  const path = join(directory, 'own', 'socket');
  const events: { event: string; message: string; extra: Record<string, unknown> }[] = [];
  const signals: AbortSignal[] = [];
  let runs = 0;
  let flooded = false;
  const handlers: Handlers = {
    'host-agent.list': async () => ({ vservers: [] }),
    'host-agent.logs': async (_args, { progress }) => {
      for (let number = 0; number < 40; number++) progress({ data: 'x'.repeat(900_000) });
      flooded = true;
      return { next: { file: 0, at: 0 } };
    },
    'host-agent.exec': ({ command }, { signal, progress }) =>
      new Promise((resolve, reject) => {
        runs++;
        signals.push(signal);
        progress({ stream: 'stdout', data: 'aGk=' });
        signal.addEventListener('abort', () => reject(signal.reason as Error));
        if (command[0] === 'true') resolve({ code: 0 });
      }),
  };
  const inner: Handlers = { 'host-agent.renew': async () => ({ request: 'x', address: '192.0.2.1' }) };
  const open = () =>
    openLocal({
      path,
      dispatcher: createDispatcher(handlers, () => undefined, inner),
      bus: {
        target: 'host1',
        connected: false,
        event: (_service, event, message, extra = {}) =>
          void events.push({ event, message, extra: extra as Record<string, unknown> }),
      },
      version: '1',
      log: createLog('fatal', 'host1'),
    });
  let local: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    mkdirSync(join(directory, 'own'), { mode: 0o755 });
    local = await open();
  });
  afterAll(() => local.close());
  const exec = (id: string, command: string[]) => ({
    command: 'host-agent.exec',
    id,
    args: { name: 'web1', command, stdin: 'c2VjcmV0' },
  });

  test('only its own user may come in', () => {
    expect(statSync(join(directory, 'own')).mode & 0o777).toBe(0o700);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const script = `use IO::Socket::UNIX; exit(IO::Socket::UNIX->new(Peer => '${path}') ? 0 : 9)`;
    expect(spawnSync('perl', ['-e', script]).status).toBe(0);
    expect(spawnSync('perl', ['-e', script], { uid: 65_534, gid: 65_534 }).status).toBe(9);
  });

  test('hello, progress and answer; an id is carried out once; what changes something is told, what looks is not', async () => {
    const one = await speak(path);
    expect(one.heard[0]).toEqual({ host: 'host1', version: '1', broker: false });
    one.say(exec('a', ['true']));
    one.say(exec('a', ['true']));
    await until(() => one.heard.filter((message) => 'ok' in message).length === 2, 'both answers');
    expect(one.heard.slice(1)).toContainEqual({ id: 'a', progress: { stream: 'stdout', data: 'aGk=' } });
    expect(one.answer('a')).toEqual({ id: 'a', ok: true, data: { code: 0 } });
    expect(runs).toBe(1);
    one.say({ command: 'host-agent.list', id: 'b' });
    await until(() => one.answer('b') !== undefined, 'the list');
    const [told] = events;
    expect(told).toMatchObject({
      event: 'commanded',
      extra: { id: 'a', issuer: 'root', command: 'host-agent.exec', result: 'ok' },
    });
    expect(told?.extra['args']).toMatchObject({ name: 'web1', stdin: '[hidden]' });
    expect(events.some(({ extra }) => extra['id'] === 'b')).toBe(false);
    one.socket.destroy();
  });

  test('a cancel raises the signal; the end of a connection does not, as on the bus', async () => {
    const one = await speak(path);
    const from = signals.length;
    one.say(exec('c', ['sleep']));
    one.say(exec('d', ['sleep']));
    await until(() => signals.length === from + 2, 'both run');
    one.say({ command: 'host-agent.exec', id: 'c', cancel: true });
    await until(() => one.answer('c') !== undefined, 'the end of it');
    expect(one.answer('c')).toMatchObject({ ok: false, error: { code: 'failed' } });
    expect(events.map(({ event }) => event)).toContain('cancelled');
    one.socket.destroy();
    const two = await speak(path);
    expect(signals.slice(from).map((signal) => signal.aborted)).toEqual([true, false]);
    two.say({ command: 'host-agent.exec', id: 'd', cancel: true }); // root is root, whichever connection
    await until(() => signals[from + 1]?.aborted === true, 'the other ends, too');
    two.socket.destroy();
  });

  test.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['without an id', { command: 'host-agent.list' }],
    ['without a command', { id: 'x' }],
    ['another key', { command: 'host-agent.list', id: 'x', replyTo: 'vs/1/hosts/host1/replies/x' }],
    ['another issuer', { command: 'host-agent.list', id: 'x', issuer: 'anna' }],
    ['an id with a slash', { command: 'host-agent.list', id: 'a/b' }],
    ['too deep', `${'['.repeat(40)}${']'.repeat(40)}`],
  ])('%s: refused with a sentence, and the connection ends', async (_what, line) => {
    const one = await speak(path);
    one.say(line);
    await until(() => one.isClosed(), 'it ends');
    expect(one.heard[1]).toMatchObject({ id: 'none', ok: false, error: { code: 'usage' } });
  });

  test('a line without end is not waited for', async () => {
    const one = await speak(path);
    one.socket.write('x'.repeat(1_000_001));
    await until(() => one.isClosed(), 'it ends');
    expect(one.heard[1]).toMatchObject({ id: 'none', ok: false, error: { code: 'usage' } });
  });

  test('what the dispatcher refuses is an answer like others', async () => {
    const one = await speak(path);
    one.say({ command: 'host-agent.nothing', id: 'e', args: {} });
    one.say({ command: 'host-agent.exec', id: 'f', args: { name: '../x', command: ['true'] } });
    one.say({ command: 'host-agent.exec', id: 'g', deadline: 1, args: exec('g', ['true']).args });
    one.say({ command: 'host-agent.renew', id: 'h', args: {} });
    await until(() => ['e', 'f', 'g', 'h'].every((id) => one.answer(id)), 'all answers');
    const codes = ['e', 'f', 'g', 'h'].map(
      (id) => (one.answer(id)?.['error'] as { code?: string } | undefined)?.code,
    );
    expect(codes).toEqual(['usage', 'usage', 'deadline', 'refused']);
    expect(one.isClosed()).toBe(false);
    one.socket.destroy();
  });

  test('more at once than one connection may have is refused', async () => {
    const one = await speak(path);
    for (let number = 0; number < 101; number++) one.say(exec(`m${number}`, ['sleep']));
    await until(() => one.answer('m100') !== undefined, 'one too many');
    expect(one.answer('m100')).toMatchObject({ error: { code: 'refused' } });
    expect(one.answer('m99')).toBeUndefined();
    for (let number = 0; number < 100; number++)
      one.say({ command: 'host-agent.exec', id: `m${number}`, cancel: true });
    await until(() => one.answer('m99') !== undefined, 'they end');
    one.socket.destroy();
  });

  test('who does not read what was asked for is left alone, and the others are served', async () => {
    const one = await speak(path);
    one.socket.pause();
    one.say({ command: 'host-agent.logs', id: 'n', args: { name: 'web1' } });
    const two = await speak(path);
    await until(() => flooded, 'all was said');
    two.say({ command: 'host-agent.list', id: 'o' });
    await until(() => two.answer('o') !== undefined, 'the other is served');
    one.socket.resume();
    await until(() => one.isClosed(), 'its connection ended');
    expect(one.answer('n')).toBeUndefined();
    two.socket.destroy();
  });

  test('a second agent takes nothing from the first; the socket of a dead one is replaced', async () => {
    await expect(open()).rejects.toThrow('another process answers');
    await local.close();
    expect(existsSync(path)).toBe(false);
    const dead = spawnSync('perl', [
      '-e',
      `use IO::Socket::UNIX; IO::Socket::UNIX->new(Local => '${path}', Listen => 1)`,
    ]);
    expect([dead.status, existsSync(path)]).toEqual([0, true]);
    local = await open();
    expect((await speak(path)).heard).toHaveLength(1);
  });

  test('the command line gives up: its signal, and its time, end the work there', async () => {
    const settings = {
      url: 'mqtt://127.0.0.1:1',
      user: '',
      password: '',
      base: 'vs/1',
      agent: { path, only: true },
    };
    const client = await connectNear(settings, () => Promise.reject(new Error('not asked')));
    const given = new AbortController();
    const from = signals.length;
    const args = { name: 'web1', command: ['sleep'] };
    const one = client.request('host1', 'host-agent.exec', args, { signal: given.signal });
    await until(() => signals.length === from + 1, 'it runs');
    given.abort();
    await expect(one).rejects.toThrow('was given up');
    await until(() => signals[from]?.aborted === true, 'it is told');
    await expect(client.request('host1', 'host-agent.exec', args, { timeoutMs: 20 })).rejects.toThrow(
      'within 0.02 s',
    );
    await until(() => signals[from + 1]?.aborted === true, 'it is told');
    await expect(client.request('master', 'orchestrator.sagas', {})).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('orchestrator.sagas is a matter of the master') as string,
    });
    await expect(client.request('host2', 'host-agent.list', {})).rejects.toThrow('host2 is another host');
    await expect(client.request('master', 'orchestrator.locate', { name: 'web1' })).rejects.toThrow(
      'host1 has no vserver web1',
    );
    client.close();
  });
});

describe('a host whose broker is away', () => {
  const started: ChildProcess[] = [];
  let broker: Awaited<ReturnType<typeof realBroker>>;
  const at = (name: string) => join(directory, name);
  const uuid = '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11';
  const address = '10.60.10.5';
  const config = {
    version: 1,
    uuid,
    name: 'alone1',
    network: 'blue',
    address,
    prefix: 24,
    mac: '02:00:0a:3c:0a:05',
  };
  let environment: NodeJS.ProcessEnv;

  beforeAll(async () => {
    broker = await realBroker();
    for (const name of ['vservers/alone1', 'state/owned', 'run', 'etc'])
      mkdirSync(at(name), { recursive: true, mode: 0o700 });
    writeFileSync(
      at('vservers/alone1/vserver.json'),
      JSON.stringify({ ...config, enabled: false, created: 1 }),
    );
    const owned = { version: 1, name: 'alone1', uuid, owner: true, epoch: 3, ts: 1 };
    writeFileSync(at('state/owned/alone1.json'), JSON.stringify(owned));
    const { VS_BROKER_URL: url, VS_CONFIG_DIR: _none, ...own } = broker.environment('host1');
    const lines = {
      HOST: 'host1',
      BOOT_POOL_WAIT: '0',
      BROKER_URL: url,
      VSERVER_DIR: at('vservers'),
      STATE_DIR: at('state'),
      RUN_DIR: at('run'),
    };
    writeFileSync(
      at('etc/vs-tools.conf'),
      Object.entries(lines)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    );
    environment = { ...own, VS_CONFIG_DIR: at('etc') };
    await broker.kill();
    const agent = startVs(['service', 'host-agent', 'network'], { environment });
    started.push(agent.child);
    await until(() => agent.said.text.includes('"running"'), 'the agent runs', 30_000);
  }, 60_000);
  afterAll(async () => {
    for (const child of started) child.kill('SIGKILL');
    await broker.close();
  });
  /** As root of the host types it: without a user at the broker. */
  async function vs(...words: string[]) {
    const { child, said } = startVs(words, { environment: { VS_CONFIG_DIR: at('etc') } });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    return { code, text: said.text };
  }

  test('its own verbs work, those of the master say so', async () => {
    expect(await vs('enable', 'alone1')).toEqual({ code: 0, text: 'alone1 on host1: enabled\n' });
    expect(await vs('boot', 'alone1', '--order', '7', '--delay', '2')).toMatchObject({ code: 0 });
    expect(JSON.parse(readFileSync(at('vservers/alone1/vserver.json'), 'utf8'))).toMatchObject({
      enabled: true,
      boot: { order: 7, delay: 2 },
    });
    const { text } = await vs('scan', '--json');
    expect(JSON.parse(text) as ScanRow[]).toMatchObject([
      { host: 'host1', vserver: 'alone1', state: 'stopped', epoch: 3 },
    ]);
    expect((await vs('show', 'alone1')).text).toContain('epoch      3');
    const other = await vs('start', 'web2');
    expect(other.code).toBe(4);
    expect(other.text).toContain('host1 has no vserver web2');
    const move = await vs('move', 'alone1', 'host2');
    expect(move.code).toBe(4);
    expect(move.text).toContain('orchestrator.move is a matter of the master');
    expect((await vs('pause', 'alone1')).text).toContain(
      'alone1 is stopped on host1, so it cannot be paused',
    );
    expect((await vs('stop', '--all', '--local', '--json')).code).toBe(0);
    expect(await vs('logs', 'alone1')).toEqual({ code: 0, text: '' });
  }, 60_000);

  test('what was done is in the state, and told, once the broker is back', async () => {
    started[0]?.kill('SIGSTOP'); // it must not be there first
    await broker.start();
    const operator = await broker.raw('operator-1', ['vs/1/hosts/host1/#']);
    started[0]?.kill('SIGCONT');
    const state = () => operator.on('vs/1/hosts/host1/vservers/alone1/state').at(-1)?.body;
    const told = () =>
      operator.on('vs/1/hosts/host1/events/host-agent').filter((one) => one.body['event'] === 'commanded');
    await until(
      () => state() !== undefined && told().some((one) => one.body['command'] === 'host-agent.every'),
      'state and events',
      40_000,
    );
    expect(state()).toMatchObject({ enabled: true, boot: { order: 7, delay: 2 }, epoch: 3 });
    expect(told().map((one) => one.body['command'])).toEqual(
      expect.arrayContaining(['host-agent.enable', 'host-agent.boot', 'host-agent.every']),
    );
    expect(told()[0]?.body).toMatchObject({ issuer: 'root', args: { name: 'alone1' }, result: 'ok' });
  }, 60_000);
});
