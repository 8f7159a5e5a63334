import { afterAll, beforeAll, expect, test } from 'vitest';
import { realBroker, until } from './bus-kit.ts';

let net: Awaited<ReturnType<typeof realBroker>>;
beforeAll(async () => void (net = await realBroker()));
afterAll(() => net.close());
const metrics = (host: string) => `vs/1/hosts/${host}/metrics`;

test('metrics reach who hears and may, once whatever the filters, and in order with what came before', async () => {
  const viewer = await net.raw('viewer-1', ['vs/1/hosts/+/metrics', 'vs/1/hosts/#', '#']);
  const operator = await net.raw('operator-1', [metrics('host1')]);
  const other = await net.raw('host2-1', ['vs/1/hosts/#']); // may not hear them
  const agent = await net.raw('host1-1');
  for (let number = 0; number < 200; number++)
    agent.client.publish(metrics('host1'), JSON.stringify({ number }), { qos: 0 });
  await agent.client.publishAsync('vs/1/hosts/host1/events/mark', '{}', { qos: 1 });
  const numbers = (ears: typeof viewer) => ears.on(metrics('host1')).map(({ body }) => body['number']);
  const all = Array.from({ length: 200 }, (_, number) => number);
  await until(() => numbers(viewer).length >= 200 && numbers(operator).length >= 200, 'all of them');
  expect(numbers(viewer)).toEqual(all);
  expect(numbers(operator)).toEqual(all);
  expect(other.heard).toEqual([]);
});

test('of another host they are refused and counted, wildcards and retained ones go the long way, who left hears nothing', async () => {
  const ears = await net.raw('operator-2', ['vs/1/hosts/+/metrics', '$SYS/broker/publish/messages/denied']);
  const gone = await net.raw('operator-3', [metrics('host2')]);
  await gone.client.unsubscribeAsync(metrics('host2'));
  const agent = await net.raw('host1-2');
  agent.client.publish(metrics('host2'), '{"foreign":1}', { qos: 0 });
  agent.client.publish(metrics('host1'), '{"retained":1}', { qos: 0, retain: true });
  const own = await net.raw('host2-2');
  own.client.publish(metrics('host2'), '{"own":1}', { qos: 0 });
  await until(() => ears.on(metrics('host2')).length > 0 && ears.on(metrics('host1')).length > 0, 'both');
  expect(ears.on(metrics('host2')).map(({ body }) => body)).toEqual([{ own: 1 }]);
  expect(gone.heard).toEqual([]);
  const late = await net.raw('operator-4', [metrics('host1')]);
  await until(() => late.heard.length > 0, 'the retained one');
  expect(late.heard[0]?.body).toEqual({ retained: 1 });
});
