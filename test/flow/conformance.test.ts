import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realBroker, until } from './bus-kit.ts';
import { hangUp, speak } from './speak-kit.ts';

/** What MQTT 3.1.1 wants of a server, in the topics of this pool. docs/brokers.md, "Conformance", tells of the suite of Eclipse. */
let broker: Awaited<ReturnType<typeof realBroker>>;
const at = (name: string) => `vs/1/sagas/${name}/state`;

async function enter(id: string, more: Parameters<ReturnType<typeof speak>['connect']>[1] = {}) {
  const one = speak(broker.port);
  const connack = await one.connect(id, more);
  expect(connack?.returnCode).toBe(0);
  return { ...one, present: connack?.sessionPresent };
}

beforeAll(async () => {
  broker = await realBroker();
});
afterAll(async () => {
  hangUp();
  await broker.close();
});

test('a client without an id is refused with a session, and gets an id of its own without one', async () => {
  const refused = speak(broker.port);
  // mqtt-packet makes no such CONNECT: protocol MQTT 4, no flags, keep-alive 60, an id of no letters.
  refused.socket.write(Buffer.from([0x10, 12, 0, 4, 77, 81, 84, 84, 4, 0, 0, 60, 0, 0]));
  await until(() => refused.of('connack').length > 0, 'the answer to a CONNECT without an id');
  expect(refused.of('connack')[0]).toMatchObject({ returnCode: 2 });
  await until(refused.closed, 'the end of the refused one');
  const [one, two] = [await enter('', { clean: true }), await enter('', { clean: true })];
  await sleep(100);
  expect([one.closed(), two.closed()]).toEqual([false, false]); // two of them, with an id each
});

test('a second CONNECT, and one of an unknown protocol, end the connection', async () => {
  const twice = await enter('master-twice');
  await twice.connect('master-twice');
  await until(twice.closed, 'the end after a second CONNECT');
  const foreign = speak(broker.port);
  foreign.socket.write(Buffer.from([0x10, 14, 0, 2, 104, 106, 4, 2, 0, 60, 0, 4, 110, 97, 109, 101]));
  await until(foreign.closed, 'the end of another protocol');
  expect(foreign.of('connack')).toEqual([]);
});

test('a retained message is for who comes later, marked so, and an empty one clears it', async () => {
  const [master, early] = [await enter('master-kept'), await enter('operator-early')];
  await early.subscribe(1, at('kept'));
  await master.publish(at('kept'), '1', 1, true);
  await until(() => early.heard().length === 1, 'the live one');
  expect(early.heard()[0]).toMatchObject({ text: '1', retain: false });
  const later = await enter('operator-later');
  await later.subscribe(1, at('kept'));
  await until(() => later.heard().length === 1, 'the retained one');
  expect(later.heard()[0]).toMatchObject({ text: '1', retain: true });
  await master.publish(at('kept'), '', 1, true);
  const last = await enter('operator-last');
  await last.subscribe(1, at('kept'));
  await last.publish('vs/1/master/commands/nobody/nothing', '{}');
  expect(last.heard()).toEqual([]);
});

test('a session is there again, with what came meanwhile in order, and clean = true ends it', async () => {
  const first = await enter('operator-away', { clean: false });
  expect(first.present).toBe(false);
  await first.subscribe(1, 'vs/1/sagas/+/state');
  await first.bye();
  const master = await enter('master-queue');
  for (const text of ['a', 'b', 'c']) await master.publish(at('queue'), text);
  const again = await enter('operator-away', { clean: false });
  expect(again.present).toBe(true);
  await until(() => again.heard().length === 3, 'the queue');
  expect(again.heard().map((one) => one.text)).toEqual(['a', 'b', 'c']);
  await again.bye();
  const clean = await enter('operator-away', { clean: true });
  await clean.bye();
  expect((await enter('operator-away', { clean: false })).present).toBe(false);
});

test('a will is published when the connection breaks or its keep-alive runs out, and not after DISCONNECT', async () => {
  const hearer = await enter('operator-wills');
  await hearer.subscribe(1, 'vs/1/hosts/+/status');
  const will = (text: string) => ({
    topic: 'vs/1/hosts/host1/status',
    payload: Buffer.from(text),
    qos: 1 as const,
    retain: false,
  });
  const polite = await enter('host1', { will: will('polite') });
  await polite.bye();
  const broken = await enter('host1', { will: will('broken') });
  broken.socket.destroy();
  await until(() => hearer.heard().length > 0, 'the will of the broken one');
  const silent = await enter('host1', { will: will('silent'), keepalive: 1 });
  await until(silent.closed, 'the end of the silent one');
  await until(() => hearer.heard().length > 1, 'the will of the silent one');
  expect(hearer.heard().map((one) => one.text)).toEqual(['broken', 'silent']);
});

test('a keep-alive of 0 and of an hour are taken', async () => {
  for (const keepalive of [0, 3600]) {
    const one = await enter(`operator-alive${keepalive}`, { keepalive });
    expect(one.closed()).toBe(false);
  }
});

test('subscriptions that overlap: the message comes once or twice, and not of a lesser QoS', async () => {
  const one = await enter('operator-both');
  expect(await one.subscribe(1, at('both'), 'vs/1/sagas/#', 'vs/1/sagas/+/state')).toEqual([1, 1, 1]);
  await (await enter('master-both')).publish(at('both'), 'x');
  await until(() => one.heard().length > 0, 'the message');
  expect(one.heard().length).toBeLessThanOrEqual(2);
  expect(Math.max(...one.heard().map((message) => message.qos))).toBe(1);
});

test('what was not acknowledged comes again at the reconnect', async () => {
  const first = await enter('operator-again', { clean: false });
  first.dumb();
  await first.subscribe(1, at('again'));
  await (await enter('master-again')).publish(at('again'), 'x');
  await until(() => first.heard().length === 1, 'the first delivery');
  first.socket.destroy();
  await until(first.closed, 'the end');
  const second = await enter('operator-again', { clean: false });
  await until(() => second.heard().length === 1, 'the second delivery');
  expect(second.heard()[0]).toMatchObject({ text: 'x', qos: 1 });
  await second.bye();
  const third = await enter('operator-again', { clean: false });
  await sleep(200);
  expect(third.heard()).toEqual([]);
});

test('SUBACK has a code for each filter, 0x80 for what is forbidden, and the others count', async () => {
  const one = await enter('viewer-some');
  const granted = await one.subscribe(
    1,
    at('some'),
    'vs/1/hosts/host1/commands/host-agent/start',
    at('more'),
  );
  expect(granted).toEqual([1, 128, 1]);
  await (await enter('master-some')).publish(at('more'), 'x');
  await until(() => one.heard().length === 1, 'what it may hear');
});

test('after UNSUBACK nothing more comes of that filter, and the others stay', async () => {
  const one = await enter('operator-un');
  await one.subscribe(1, at('un1'));
  await one.subscribe(1, at('un2'));
  one.send({ cmd: 'unsubscribe', messageId: 11, unsubscriptions: [at('un1')] });
  await until(() => one.of('unsuback').length === 1, 'UNSUBACK');
  const master = await enter('master-un');
  await master.publish(at('un1'), 'no');
  await master.publish(at('un2'), 'yes');
  await until(() => one.heard().length > 0, 'the other');
  expect(one.heard().map((message) => message.text)).toEqual(['yes']);
});

test('# and + do not match topics that begin with $; a filter that says $SYS does', async () => {
  const one = await enter('operator-dollar');
  await one.subscribe(0, '#', '+/broker/uptime');
  await one.publish('vs/1/master/commands/nobody/nothing', '{}');
  await sleep(200);
  expect(one.heard().filter(({ topic }) => topic.startsWith('$'))).toEqual([]);
  await one.subscribe(0, '$SYS/broker/uptime');
  await until(() => one.heard().some(({ topic }) => topic === '$SYS/broker/uptime'), '$SYS');
});

test('a message has the lesser QoS of its publisher and its subscriber', async () => {
  const [zero, one] = [await enter('operator-qos0'), await enter('operator-qos1')];
  await zero.subscribe(0, at('qos'));
  await one.subscribe(1, at('qos'));
  const master = await enter('master-qos');
  await master.publish(at('qos'), 'one', 1);
  await master.publish(at('qos'), 'zero', 0);
  await until(() => zero.heard().length === 2 && one.heard().length === 2, 'both');
  expect(zero.heard().map(({ text, qos }) => `${text} ${qos}`)).toEqual(['one 0', 'zero 0']);
  expect(one.heard().map(({ text, qos }) => `${text} ${qos}`)).toEqual(['one 1', 'zero 0']);
});

test('+ is one level, also an empty one, and # is its parent too', async () => {
  const one = await enter('operator-levels');
  await one.subscribe(0, 'vs/1/sagas/+', 'vs/1/sagas/parent/#');
  const master = await enter('master-levels');
  await master.publish('vs/1/sagas/', 'empty');
  await master.publish('vs/1/sagas/a/b', 'two');
  await master.publish('vs/1/sagas/parent', 'parent');
  await until(() => one.heard().some(({ text }) => text === 'parent'), 'the parent');
  expect(new Set(one.heard().map(({ text }) => text))).toEqual(new Set(['empty', 'parent']));
});
