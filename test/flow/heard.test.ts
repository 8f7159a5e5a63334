import { afterAll, beforeAll, expect, test } from 'vitest';
import { status } from '../../shared/contract/host.ts';
import { openHeard } from '../../shared/heard.ts';
import { badProxy, realBroker, until } from './bus-kit.ts';

let broker: Awaited<ReturnType<typeof realBroker>>;
let proxy: Awaited<ReturnType<typeof badProxy>>;
beforeAll(async () => {
  broker = await realBroker();
  proxy = await badProxy(broker.dial);
});
afterAll(async () => {
  await broker.close();
  proxy.close();
});
const names = (all: { topic: string }[]) => all.map(({ topic }) => topic.split('/')[3]).sort();

test('what was cleared while nothing was heard goes after the reconnect, the rest stays all the time', async () => {
  const bus = await broker.bus('master', {}, proxy.port);
  const host1 = await broker.raw('host1-a');
  const host2 = await broker.raw('host2-a');
  const say = (host: typeof host1, name: string, text: string) =>
    host.client.publishAsync(`vs/1/hosts/${name}/status`, text, { qos: 1, retain: true });
  const online = JSON.stringify({ state: 'online', session: 's1', ts: 1 });
  await say(host1, 'host1', online);
  await say(host2, 'host2', online);
  let changes = 0;
  let fewest = 2;
  const heard = await openHeard(bus, 'vs/1/hosts/+/status', status, {
    limit: 2,
    repeatMs: 3000,
    changed: () => changes++,
  });
  await until(() => heard.all().length === 2, 'both hosts');
  const watch = setInterval(() => (fewest = Math.min(fewest, heard.all().length)), 5);

  proxy.rules.down = true;
  proxy.cut();
  await until(() => !bus.connected, 'the connection is gone');
  await say(host1, 'host1', '');
  expect(heard.all()).toHaveLength(2);
  const before = changes;
  proxy.rules.down = false;
  await until(() => heard.all().length === 1, 'host1 is gone', 20_000);
  clearInterval(watch);
  expect(names(heard.all())).toEqual(['host2']);
  expect(changes).toBeGreaterThan(before);
  expect(fewest).toBeGreaterThanOrEqual(1);

  // It still hears, drops what fits no schema, and takes no more than its limit.
  await say(host1, 'host1', online);
  await until(() => heard.all().length === 2, 'host1 is back');
  await say(host1, 'host1', '{"state":"maybe"}');
  await until(() => heard.all().length === 1, 'nonsense is nothing');
  await say(host1, 'host1', online);
  await until(() => heard.all().length === 2, 'host1 is back again');
  await heard.close();
  await say(host1, 'host1', '');
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(heard.all()).toHaveLength(2);
}, 40_000);

test('more topics than the limit are counted, not kept', async () => {
  const bus = await broker.bus('master');
  const host1 = await broker.raw('host1-b');
  for (const check of ['a', 'b', 'c'])
    await host1.client.publishAsync(
      `vs/1/hosts/host1/alerts/web1/${check}`,
      JSON.stringify({ state: 'online', session: 's1', ts: 1 }),
      { qos: 1, retain: true },
    );
  const heard = await openHeard(bus, 'vs/1/hosts/+/alerts/+/+', status, { limit: 2 });
  await until(() => heard.leftOut() === 1, 'the third is left out');
  expect(heard.all()).toHaveLength(2);
  await heard.close();
});
