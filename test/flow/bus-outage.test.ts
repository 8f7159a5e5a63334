import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { backoffMs } from '../../shared/bus/backoff.ts';
import { replyLevel } from './brokers.ts';
import { badProxy, cli, realBroker, until } from './bus-kit.ts';

let net: Awaited<ReturnType<typeof realBroker>>;
const proxies: Awaited<ReturnType<typeof badProxy>>[] = [];
async function proxied() {
  const proxy = await badProxy(net.dial);
  proxies.push(proxy);
  return proxy;
}
const facts = (name: string) => ({ host: 'host2', name, state: 'running' });
const state = (host: string, name: string) => `vs/1/hosts/${host}/vservers/${name}/state`;

beforeAll(async () => void (net = await realBroker()));
afterAll(async () => {
  await net.close();
  for (const proxy of proxies) proxy.close();
});

test('waits between tries grow from half a second to 15 s, by chance over all of the time', () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((failed) => backoffMs(failed, () => 1))).toEqual([
    1000, 2000, 4000, 8000, 15_000, 15_000, 15_000,
  ]);
  expect([0, 5, 50].map((failed) => backoffMs(failed, () => 0))).toEqual([500, 500, 500]);
});

test('each loss lengthens the wait for the next try', async () => {
  const proxy = await proxied();
  proxy.rules.down = true;
  const random = Math.random;
  Math.random = () => 1; // the longest waits: 1, 2, 4 s
  onTestFinished(() => void (Math.random = random));
  const bus = await net.bus('viewer', {}, proxy.port);
  await sleep(5000);
  expect(proxy.accepted()).toBe(3); // at 0, 1 and 3 s
  proxy.rules.down = false;
  await until(() => bus.connected, 'the connection');
});

test('a subscription that is refused is asked for until it is granted, and until then the host is not online', async () => {
  const proxy = await proxied();
  const own = 'vs/1/hosts/host1/commands/+/+';
  const other = 'vs/1/hosts/+/vservers/+/state';
  proxy.rules.refused.add(own).add(other);
  const lines: string[] = [];
  const ears = await net.raw('operator-granted', ['vs/1/hosts/host1/#']);
  const bus = await net.bus('host1', {}, proxy.port, lines);
  const heard: string[] = [];
  let ready = 0;
  bus.onConnect(() => ready++);
  await bus.subscribe(other, (topic) => void heard.push(topic));
  bus.retain(state('host1', 'early'), { ...facts('early'), host: 'host1' });
  bus.event('test', 'early', 'early');
  await until(() => ears.on(state('host1', 'early')).length > 0, 'state goes out all the same');
  await until(() => ears.on('vs/1/hosts/host1/events/test').length > 0, 'events too');
  await sleep(2500);
  expect(ears.on('vs/1/hosts/host1/status')).toEqual([]);
  expect(ready).toBe(0);
  expect(heard).toEqual([]);
  proxy.rules.refused.clear();
  await until(() => ears.on('vs/1/hosts/host1/status').length > 0, 'online', 16_000);
  expect(ready).toBe(1);
  await until(() => heard.length > 0, 'the other one', 16_000);
  expect(lines.filter((line) => line.includes('refuses a subscription')).length).toBeLessThanOrEqual(2); // one for each
  await bus.close();
});

test('who asks for the connect after it happened is told at once, and at the next one again', async () => {
  const proxy = await proxied();
  const bus = await net.bus('host2', {}, proxy.port);
  await until(() => bus.connected, 'the connection');
  await sleep(500);
  let told = 0;
  bus.onConnect(() => told++);
  await until(() => told === 1, 'the word');
  proxy.cut();
  await until(() => told === 2, 'the next word', 16_000);
  await bus.close();
  expect(told).toBe(2);
});

test('events of an outage arrive afterwards, in order; alerts and state as they are then', async () => {
  const proxy = await proxied();
  const ears = await net.raw('operator-events', ['vs/1/hosts/host2/#']);
  const bus = await net.bus('host2', {}, proxy.port);
  bus.event('test', 'n', 'before');
  await until(() => ears.on('vs/1/hosts/host2/events/test').length === 1, 'the first');
  proxy.rules.down = true; // until the listener is back
  await net.kill();
  proxy.cut();
  await until(() => !bus.connected, 'the loss');
  for (let number = 0; number < 1100; number++) bus.event('test', 'n', String(number));
  bus.alert('web1', 'disk', { ts: 1, severity: 'warning', message: 'full' });
  bus.alert('web1', 'disk', null);
  bus.alert('web2', 'disk', { ts: 2, severity: 'warning', message: 'full' });
  ears.heard.length = 0;
  await net.start();
  await until(() => ears.client.connected, 'the listener is back');
  await ears.again();
  proxy.rules.down = false;
  await until(() => bus.connected, 'the bus is back', 16_000);
  bus.event('test', 'n', 'after');
  const events = () => ears.on('vs/1/hosts/host2/events/test').map((one) => one.body['message']);
  await until(() => events().includes('after'), 'all of them');
  const numbers = events().slice(0, -1).map(Number);
  expect(numbers).toEqual(numbers.map((_one, index) => 1100 - numbers.length + index)); // the newest, without a gap
  expect(numbers.length).toBeGreaterThanOrEqual(998);
  expect(events().at(-1)).toBe('after');
  const late = await net.raw('operator-late', ['vs/1/hosts/host2/alerts/+/+']);
  await until(() => late.heard.length > 0, 'the alert');
  expect(late.heard.map((one) => one.topic)).toEqual(['vs/1/hosts/host2/alerts/web2/disk']);
  await bus.close();
});

test('what was dropped is counted, and told ahead of what was kept', async () => {
  const proxy = await proxied();
  const ears = await net.raw('operator-dropped', ['vs/1/hosts/host2/events/+']);
  const bus = await net.bus('host2', {}, proxy.port);
  await until(() => bus.connected, 'the connection');
  proxy.rules.down = true;
  proxy.cut();
  await until(() => !bus.connected, 'the loss');
  for (let number = 0; number < 1005; number++) bus.event('test', 'n', String(number));
  proxy.rules.down = false;
  await until(() => ears.heard.length >= 1001, 'all that was kept', 16_000);
  expect(ears.heard[0]?.body['message']).toMatch(/^5 events were lost: /);
  expect(ears.heard.slice(1).map((one) => one.body['message'])).toEqual(
    Array.from({ length: 1000 }, (_one, index) => String(index + 5)),
  );
  await bus.close();
});

test('without PUBACK for 15 s: publish rejects, state and events are sent again, and that is said once', async () => {
  const proxy = await proxied();
  const lines: string[] = [];
  const ears = await net.raw('operator-silent', ['vs/1/hosts/host2/#']);
  const bus = await net.bus('host2', {}, proxy.port, lines);
  let ready = false;
  bus.onConnect(() => (ready = true));
  await until(() => ready, 'the connection');
  const events = 'vs/1/hosts/host2/events/test';
  proxy.rules.swallowed.add(state('host2', 'web1')).add(events).add('vs/1/hosts/host2/info');
  bus.retain(state('host2', 'web1'), facts('web1'));
  bus.event('test', 'n', 'first');
  bus.event('test', 'n', 'second');
  const published = bus.publish('vs/1/hosts/host2/info', {}).catch((error: Error) => error.message);
  bus.retain(state('host2', 'web2'), facts('web2'));
  await until(() => ears.on(state('host2', 'web2')).length > 0, 'what the broker takes goes on');
  proxy.rules.swallowed.clear();
  expect(await published).toMatch(/did not acknowledge a message on .*info within 15 s/);
  await until(() => ears.on(state('host2', 'web1')).length > 0, 'the state');
  await until(() => ears.on(events).length === 2, 'the events');
  expect(ears.on(events).map((one) => one.body['message'])).toEqual(['first', 'second']);
  expect(bus.connected).toBe(true);
  expect(lines.filter((line) => line.includes('did not acknowledge'))).toHaveLength(1);
  await bus.close();
});

test('a message for which a broker ends the connection stops no other, neither state nor events', async () => {
  const proxy = await proxied();
  const ears = await net.raw('operator-hated', ['vs/1/hosts/host2/#']);
  const lines: string[] = [];
  const bus = await net.bus('host2', {}, proxy.port, lines);
  const hated = state('host2', 'hated');
  proxy.rules.hated.add(hated).add('vs/1/hosts/host2/events/hated');
  const random = Math.random;
  Math.random = () => 0; // the shortest waits
  onTestFinished(() => void (Math.random = random));
  bus.event('hated', 'n', 'hated');
  bus.event('test', 'n', 'good');
  bus.retain(state('host2', 'before'), facts('before'));
  bus.retain(hated, facts('hated'));
  for (const name of ['a', 'b', 'c']) bus.retain(state('host2', name), facts(name));
  for (const name of ['before', 'a', 'b', 'c'])
    await until(() => ears.on(state('host2', name)).length > 0, name, 25_000);
  await until(() => ears.on('vs/1/hosts/host2/events/test').length > 0, 'the event behind', 25_000);
  expect(lines.filter((line) => line.includes('left out') || line.includes('given up'))).not.toEqual([]);
  // Both are left alone in the end, and the connection holds.
  let before = 0;
  for (let wait = 0; wait < 10 && before !== proxy.accepted(); wait++) {
    before = proxy.accepted();
    await sleep(2000);
  }
  expect(proxy.accepted()).toBe(before);
  expect(bus.connected).toBe(true);
  await bus.close();
}, 60_000);

test('an answer that was ready while the link of its host was down arrives when it is up again', async () => {
  const proxy = await proxied();
  let end = (): void => undefined;
  let begun = false;
  const bus = await net.bus(
    'host1',
    {
      'host-agent.exec': () =>
        new Promise((resolve) => {
          begun = true;
          end = () => resolve({ code: 3 });
        }),
    },
    proxy.port,
  );
  let ready = false;
  bus.onConnect(() => (ready = true));
  await until(() => ready, 'the connection');
  const replyTo = `vs/1/hosts/host1/replies/${replyLevel('operator-link')}`;
  const ears = await net.raw('operator-link', [replyTo]);
  const args = { name: 'web1', command: ['true'] };
  await ears.send('vs/1/hosts/host1/commands/host-agent/exec', { id: 'link', replyTo, args });
  await until(() => begun, 'the run');
  proxy.rules.down = true;
  proxy.cut();
  await until(() => !bus.connected, 'the loss');
  end();
  await sleep(200);
  proxy.rules.down = false;
  await until(() => ears.heard.length > 0, 'the answer', 16_000);
  expect(ears.heard[0]?.body).toEqual({ id: 'link', ok: true, data: { code: 3 } });
  await bus.close();
});

test('a late will of an earlier life: the master never takes it for news, and the host says online again', async () => {
  const topic = 'vs/1/hosts/host1/status';
  const will = (session: string, ts: number) => ({
    topic,
    text: JSON.stringify({ state: 'offline', session, ts }),
  });
  const master = await net.bus('master');
  const seen: string[] = [];
  const status = (payload: unknown) => payload as { state: string; session: string } | null;
  await master.subscribe('vs/1/hosts/+/status', (where, payload) => {
    if (where === topic) seen.push(status(payload)?.state ?? 'none');
  });
  const old = await net.raw('host1-old', [], will('old', Date.now()));
  await sleep(20);
  const agent = await net.bus('host1', {
    'host-agent.unlock': async () => {
      await sleep(600);
      return {};
    },
  });
  await until(() => seen.at(-1) === 'online', 'online');
  const asked = master.request('host1', 'host-agent.unlock', { name: 'web1', saga: 's1' });
  await sleep(100);
  seen.length = 0;
  const ears = await net.raw('operator-will', [topic]);
  ears.heard.length = 0;
  old.client.stream.destroy();
  await until(() => ears.on(topic).at(-1)?.body['state'] === 'online' && ears.heard.length >= 2, 'again');
  expect(ears.heard.map((one) => one.body['state'])).toContain('offline'); // it did come
  expect(seen).not.toContain('offline');
  expect(await asked).toEqual({}); // its life goes on: the question is not given up
  await old.client.endAsync(true);
  // A life that began while the master was away, and ended: its will is no late one.
  const newer = await net.raw('host1-newer', [], will('newer', Date.now() + 60_000));
  await agent.close();
  await until(() => seen.at(-1) === 'offline', 'its end');
  await sleep(300); // its own will comes, too
  seen.length = 0;
  newer.client.stream.destroy();
  await until(() => seen.includes('offline'), 'the will of a newer life counts');
  await newer.client.endAsync(true);
});

test('vs scan loads neither zod nor the mqtt client', async () => {
  const hook = `import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { process.stderr.write(url + '\\n'); return next(url, context); } });`;
  const flags = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`];
  const env = { ...process.env, ...net.environment('operator') };
  const { status, stderr } = spawnSync(process.execPath, [...flags, cli, 'scan', '--json'], {
    encoding: 'utf8',
    env,
  });
  expect(status, stderr).toBe(0);
  expect(stderr).toContain('/cli/client.ts');
  expect(stderr.split('\n').filter((url) => /node_modules\/(zod|mqtt)\//.test(url))).toEqual([]);
});

test('the command line asks again when a target that was thought online hears its commands only now', async () => {
  const status = JSON.stringify({ state: 'online', session: 'same', ts: 1 });
  const host = await net.raw('host1-deaf');
  await host.client.publishAsync('vs/1/hosts/host1/status', status, { qos: 1, retain: true });
  const child = spawn(process.execPath, [cli, 'call', 'host1', 'host-agent.list'], {
    env: { ...process.env, ...net.environment('operator') },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await sleep(1500); // it has asked, and nobody heard it
  host.client.on('message', (_topic, payload) => {
    const { id, replyTo } = JSON.parse(payload.toString()) as { id: string; replyTo: string };
    void host.send(replyTo, { id, ok: true, data: { vservers: [] } });
  });
  await host.client.subscribeAsync('vs/1/hosts/host1/commands/+/+', { qos: 1 });
  await host.client.publishAsync('vs/1/hosts/host1/status', status, { qos: 1, retain: true });
  await until(() => said !== '', 'the answer');
  expect(JSON.parse(said)).toEqual({ vservers: [] });
});
