import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEmitter } from '../../broker/emitter.ts';
import { openShortWay } from '../../broker/short-way.ts';
import { guardStream } from '../../broker/stream.ts';
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

test('it is taken once the SUBSCRIBE of all who hear is known, also that of a session which was kept', async () => {
  const emitter = openEmitter();
  const identities = { get: () => ({ name: 'host1', clientId: 'a', role: 'agent' }) } as never;
  const forward = (_client: unknown, packet: object) => packet as never;
  const options = { base: 'vs/1', levels: 12, emitter, identities, count: () => undefined, forward };
  const { know, take } = openShortWay(options);
  const aedes = await Aedes.createBroker({ mq: emitter });
  aedes.on('subscribe', (all, client) =>
    know(
      client,
      all.map(({ topic }) => topic),
    ),
  );
  aedes.on('clientReady', (client) => know(client));
  const taken: boolean[] = [];
  const server = createServer((socket) => {
    const short = (...packet: Parameters<typeof take>) => {
      taken.push(take(...packet));
      return taken.at(-1) === true;
    };
    guardStream(
      socket,
      100_000,
      () => undefined,
      () => undefined,
      short,
    );
    void aedes.handle(socket);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const enter = (clientId: string) =>
    connectAsync({ host: '127.0.0.1', port, clientId, clean: false, reconnectPeriod: 0 });
  const sender = await enter('sender');
  const heard: string[] = [];
  const hear = async () => {
    const ears = await enter('ears');
    ears.on('message', (_topic, payload) => heard.push(payload.toString()));
    return ears;
  };
  const first = await hear();
  await first.subscribeAsync('vs/1/hosts/+/metrics', { qos: 1 });
  for (const text of ['a', 'b']) sender.publish(metrics('host1'), text);
  sender.publish('vs/1/hosts/host1/info', 'c');
  await until(() => heard.length === 2, 'both');
  await first.endAsync();
  await hear();
  sender.publish(metrics('host1'), 'd');
  await until(() => heard.length === 3, 'the third');
  expect([heard, taken]).toEqual([
    ['a', 'b', 'd'],
    [true, true, false, true],
  ]);
  await sender.endAsync(true);
  await new Promise<void>((resolve) => aedes.close(resolve));
  server.close();
});
