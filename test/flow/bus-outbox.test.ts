import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { badProxy, realBroker, until } from './bus-kit.ts';

const program = new URL('./bus-life.ts', import.meta.url).pathname;
let net: Awaited<ReturnType<typeof realBroker>>;
beforeAll(async () => void (net = await realBroker()));
afterAll(() => net.close());

/** A host with a disk of its own, and its lives. */
function hostOf(target: string, more: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'vslab-outbox-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return {
    directory,
    file: join(directory, 'outbox', 'life.events.jsonl'),
    begin() {
      const child = spawn(process.execPath, [program], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: {
          ...process.env,
          ...net.environment(target),
          VS_STATE_DIR: directory,
          BUS_TARGET: target,
          ...more,
        },
      });
      const gone = new Promise((resolve) => child.once('exit', resolve));
      let said = '';
      let calls = 0;
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const count = (word: string) => said.split('\n').filter((line) => line === word).length;
      const life = {
        connected: (times = 1) => until(() => count('connected') >= times, 'the connection', 20_000),
        async call(...call: unknown[]): Promise<void> {
          child.stdin.write(`${JSON.stringify(call)}\n`);
          const wanted = ++calls;
          await until(() => count('ok') >= wanted, `an answer to ${JSON.stringify(call)}`);
        },
        async kill(): Promise<void> {
          child.kill('SIGKILL');
          await gone;
        },
      };
      onTestFinished(() => life.kill());
      return life;
    },
  };
}
const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
/** Ends when an event is in the file for the next life. */
const stored = (host: { file: string }, message: string) =>
  until(() => textOf(host.file).includes(`"${message}\\"`), `event ${message} in the file`);
const messages = (heard: { body: Record<string, unknown> }[]) => heard.map((one) => one.body['message']);
const warning = (message: string) => ({ ts: 1, severity: 'warning', message });

test('an agent that is killed by SIGKILL while the broker is away: its events come from its next life, once, in order', async () => {
  const host = hostOf('host1');
  const first = host.begin();
  await first.connected();
  await net.kill();
  for (let number = 0; number < 50; number++) {
    await first.call('event', 'test', 'n', String(number));
    await first.call('retain', 'vs/1/hosts/host1/info', { number });
  }
  await stored(host, '49');
  await first.kill();
  const killed = Date.now();
  const second = host.begin();
  await second.call('event', 'test', 'n', '50');
  await second.call('retain', 'vs/1/hosts/host1/info', { number: 'last' });
  await stored(host, '50');
  await second.kill();
  await net.start();
  const ears = await net.raw('operator-killed', ['vs/1/hosts/host1/events/+', 'vs/1/hosts/host1/info']);
  const third = host.begin();
  const events = () => ears.on('vs/1/hosts/host1/events/test');
  await third.connected();
  await third.call('event', 'test', 'n', 'end');
  await until(() => messages(events()).includes('end'), 'all of them');
  expect(messages(events())).toEqual([...Array.from({ length: 51 }, (_one, index) => String(index)), 'end']);
  for (const { body } of events().slice(0, 50)) expect(body['ts']).toBeLessThanOrEqual(killed);
  expect(new Set(events().map(({ body }) => body['eventId'])).size).toBe(52);
  expect(ears.on('vs/1/hosts/host1/info')).toEqual([]); // state is not buffered: it is what a life says
  await until(() => statSync(host.file).size === 0, 'what was acknowledged to leave the file');
  const fourth = host.begin(); // nothing comes twice
  await third.kill();
  await fourth.connected();
  await fourth.call('event', 'test', 'n', 'after');
  await until(() => messages(events()).includes('after'), 'the next');
  expect(events()).toHaveLength(53);
});

test('the broker is killed while an agent speaks: afterwards its state is the last, and each event came once, in order', async () => {
  const host = hostOf('host1');
  const life = host.begin();
  await life.connected();
  // A session: the broker keeps for it what comes while it is not back yet, after the restart, too.
  const session = await connectAsync({
    ...net.options('operator'),
    clientId: 'operator-before',
    clean: false,
    reconnectPeriod: 100,
  });
  const heard: string[] = [];
  session.on('message', (_topic, payload) =>
    heard.push((JSON.parse(payload.toString()) as { message: string }).message),
  );
  await session.subscribeAsync('vs/1/hosts/host1/events/+', { qos: 1 });
  for (let number = 0; number < 50; number++) {
    if (number === 10) await net.kill();
    await life.call('event', 'test', 'n', String(number));
    await life.call('retain', 'vs/1/hosts/host1/vservers/web1/state', { number });
    await sleep(number < 10 ? 5 : 50);
  }
  await net.start();
  await life.connected(2);
  await life.call('event', 'test', 'n', 'end');
  await until(() => heard.includes('end'), 'all of them', 15_000);
  const late = await net.raw('operator-late', ['vs/1/hosts/host1/vservers/+/state']);
  await until(() => late.heard.length > 0, 'the state');
  expect(late.heard.at(-1)?.body).toEqual({ number: 49 });
  await life.kill();
  await session.endAsync(true);
  // What was on its way when the broker was killed may come twice, in its place; all else once.
  expect([...new Set(heard)]).toEqual([
    ...Array.from({ length: 50 }, (_one, number) => String(number)),
    'end',
  ]);
  expect(heard.length).toBeLessThanOrEqual(53);
});

test('more than the limit over two lives: the oldest are dropped, counted, and told ahead of the others', async () => {
  const host = hostOf('host2', { VS_OUTBOX_MESSAGES: '10' });
  const proxy = await badProxy(net.dial);
  onTestFinished(() => proxy.close());
  proxy.rules.down = true;
  const away = hostOf('host2', {
    VS_OUTBOX_MESSAGES: '10',
    VS_STATE_DIR: host.directory,
    VS_BROKER_URL: `mqtt://127.0.0.1:${proxy.port}`,
  });
  for (const round of [0, 1]) {
    const life = away.begin();
    for (let number = 0; number < 8; number++) await life.call('event', 'test', 'n', `${round}${number}`);
    await stored(host, `${round}7`);
    await life.kill();
  }
  const ears = await net.raw('operator-limit', ['vs/1/hosts/host2/events/+']);
  const life = host.begin();
  await until(() => ears.heard.length >= 11, 'all that was kept', 15_000);
  expect(messages(ears.heard)[0]).toMatch(/^6 events were lost: /);
  expect(messages(ears.heard).slice(1)).toEqual([
    '06',
    '07',
    ...Array.from({ length: 8 }, (_one, index) => `1${index}`),
  ]);
  await until(() => statSync(host.file).size === 0, 'what was acknowledged to leave the file');
  await life.kill();
});

test('alerts of a former life that fire no more are cleared, those that fire stay; others are left alone', async () => {
  const alerts = 'vs/1/hosts/host2/alerts';
  const host = hostOf('host2', { VS_ALERT_SETTLE_SECONDS: '3' });
  const raised = (): unknown[] =>
    JSON.parse(textOf(join(host.directory, 'outbox', 'life.alerts.json')) || '[]') as unknown[];
  const first = host.begin();
  await first.connected();
  const ears = await net.raw('operator-alerts', [`${alerts}/+/+`]);
  for (const name of ['gone', 'stays', 'ended']) await first.call('alert', name, 'disk', warning('full'));
  await until(() => ears.heard.length === 3, 'the alerts');
  await first.call('alert', 'ended', 'disk', null);
  await until(() => ears.heard.length === 4, 'the end of one');
  await until(() => raised().length === 2, 'its file, which follows');
  await first.kill();
  const second = host.begin();
  await second.connected();
  await second.call('alert', 'stays', 'disk', warning('still full'));
  await until(() => ears.on(`${alerts}/gone/disk`).at(-1)?.text === '', 'the old one is cleared');
  await sleep(300);
  expect(ears.on(`${alerts}/stays/disk`).map((one) => one.body['message'])).toEqual(['full', 'still full']);
  expect(ears.on(`${alerts}/ended/disk`)).toHaveLength(2);
  await expect.poll(raised, { timeout: 8000 }).toEqual([`${alerts}/stays/disk`]);
  const late = await net.raw('operator-alerts2', [`${alerts}/+/+`]);
  await until(() => late.heard.length > 0, 'what is retained');
  expect(late.heard.map((one) => one.topic)).toEqual([`${alerts}/stays/disk`]);
  await second.kill();
});

test('after a connect state is said again, a bounded number at once, first what changed meanwhile', async () => {
  const proxy = await badProxy(net.dial);
  onTestFinished(() => proxy.close());
  const bus = await net.bus('host2', {}, proxy.port);
  const topic = (number: number) => `vs/1/hosts/host2/vservers/v${number}/state`;
  let ready = 0;
  bus.onConnect(() => ready++);
  await until(() => ready === 1, 'the connection');
  for (let number = 0; number < 200; number++) bus.retain(topic(number), { number });
  const ears = await net.raw('operator-again', ['vs/1/hosts/host2/vservers/+/state']);
  await until(() => ears.heard.length >= 200, 'all of them');
  await sleep(300);
  ears.heard.length = 0;
  proxy.mostInFlight(true);
  proxy.cut();
  await until(() => !bus.connected, 'the loss');
  bus.retain(topic(150), { number: 'new' });
  await until(() => ears.heard.length >= 200, 'all of them again', 20_000);
  expect(new Set(ears.heard.map((one) => one.topic)).size).toBe(200);
  expect(ears.heard[0]?.topic).toBe(topic(150));
  expect(proxy.mostInFlight(false)).toBeLessThanOrEqual(34); // 32, and the status
  await bus.close();
});
