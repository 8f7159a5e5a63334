import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realBroker, until } from './bus-kit.ts';
import { type Speaker, hangUp, speak } from './speak-kit.ts';

/** What strangers and bad clients do to the broker; more of it is in guards, persistence, tls, websocket and broker-users. */
const MB = 1024 * 1024;
let broker: Awaited<ReturnType<typeof realBroker>>;

async function enter(id: string, more: Parameters<Speaker['connect']>[1] = {}): Promise<Speaker> {
  const one = speak(broker.port);
  expect(await one.connect(id, more)).toMatchObject({ returnCode: 0 });
  return one;
}
/** Resident memory of the broker that listens on the port. */
function memory(): number {
  const status = readFileSync(`/proc/${broker.pid()}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}
/** As `enter`, as soon as there is room. */
async function enterLater(id: string): Promise<Speaker> {
  for (const end = Date.now() + 20_000; Date.now() < end; await sleep(50)) {
    const one = speak(broker.port);
    if ((await one.connect(id))?.returnCode === 0) return one;
  }
  throw new Error(`${id} does not come in`);
}
/** A healthy pair still gets through. */
async function stillWorks(name: string, come = enter): Promise<void> {
  const [hearer, master] = [await come(`operator-${name}`), await come(`master-${name}`)];
  await hearer.subscribe(1, `vs/1/sagas/${name}/state`);
  await master.publish(`vs/1/sagas/${name}/state`, 'x');
  await until(() => hearer.heard().length === 1, 'a message between others');
}

beforeAll(async () => {
  broker = await realBroker({
    VS_BROKER_QUEUE_MESSAGES: '20',
    VS_BROKER_RETAINED_MESSAGES: '2000',
    VS_BROKER_SUBSCRIPTIONS_PER_CLIENT: '50',
    VS_BROKER_CONNECTIONS: '150',
    VS_BROKER_STATS_SECONDS: '1',
  });
});
afterAll(async () => {
  hangUp();
  await broker.close();
});

test('a last will into a foreign topic is not carried out, and is told', async () => {
  const hearer = await enter('operator-wills');
  await hearer.subscribe(1, 'vs/1/hosts/#', 'vs/1/master/events/broker');
  const foreign = [
    'vs/1/hosts/host2/status',
    'vs/1/hosts/host2/commands/host-agent/stop',
    '$SYS/broker/uptime',
  ];
  for (const [number, topic] of foreign.entries()) {
    const will = { topic, payload: Buffer.from('{"state":"offline"}'), qos: 1 as const, retain: true };
    const bad = await enter(`host1-${number}`, { will });
    bad.socket.destroy();
    await until(bad.closed, 'its end');
  }
  await until(
    () => hearer.heard().filter(({ text }) => text.includes('will-refused')).length === foreign.length,
    'the events',
  );
  await sleep(200);
  expect(hearer.heard().filter(({ topic }) => topic.startsWith('vs/1/hosts/'))).toEqual([]);
});

test('# of a viewer and of an agent brings only what they may hear', async () => {
  const [viewer, agent] = [await enter('viewer-all'), await enter('host2-all')];
  for (const one of [viewer, agent]) expect(await one.subscribe(1, '#')).toEqual([1]);
  const [operator, host1, master] = [
    await enter('operator-says'),
    await enter('host1-says'),
    await enter('master-says'),
  ];
  await operator.publish('vs/1/hosts/host1/commands/host-agent/start', '{"args":{}}');
  await host1.publish('vs/1/hosts/host1/replies/operator-says', '{"id":"1","ok":true}');
  await host1.publish('vs/1/hosts/host1/events/host-agent', '{"event":"x"}');
  await host1.publish('vs/1/hosts/host1/info', '{}');
  await host1.publish('vs/1/hosts/host1/status', '{}');
  await master.publish('vs/1/hosts/host2/commands/host-agent/start', '{"args":{}}');
  await master.publish('vs/1/sagas/s1/state', '{}');
  await until(() => viewer.heard().some(({ topic }) => topic === 'vs/1/sagas/s1/state'), 'the last one');
  await until(() => agent.heard().some(({ topic }) => topic.includes('/commands/')), 'its own command');
  const topics = (one: Speaker) => one.heard().map(({ topic }) => topic);
  expect(topics(viewer)).toEqual(['vs/1/hosts/host1/info', 'vs/1/hosts/host1/status', 'vs/1/sagas/s1/state']);
  expect(topics(agent)).toEqual(['vs/1/hosts/host1/status', 'vs/1/hosts/host2/commands/host-agent/start']);
});

test('$share is refused to every role, and its group gets nothing', async () => {
  for (const user of ['viewer', 'host1', 'operator', 'master']) {
    const one = await enter(`${user}-share`);
    expect(await one.subscribe(1, '$share/group/vs/1/#', '$share/group/#')).toEqual([128, 128]);
  }
});

test('a client id of another identity is not taken over, connected or not', async () => {
  const agent = await enter('host1', { clean: false });
  for (const [username, clientId] of [
    ['viewer', 'host1'],
    ['host2', 'host1-backup'],
    ['host1', 'host2'],
    ['host1', 'host10'],
    ['operator', 'master-1'],
  ] as const) {
    const thief = speak(broker.port);
    expect(await thief.connect(clientId, { username }), `${username} as ${clientId}`).toMatchObject({
      returnCode: 2,
    });
    await until(thief.closed, 'its end');
  }
  await agent.publish('vs/1/hosts/host1/status', '{}');
  expect(agent.closed()).toBe(false);
});

test('forty strangers that announce 256 MB, or send CONNECT byte by byte, take no memory and stop nobody', async () => {
  const before = memory();
  const huge = Array.from({ length: 40 }, () => {
    const one = speak(broker.port);
    one.socket.write(Buffer.concat([Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(60_000)]));
    return one;
  });
  await until(() => huge.every((one) => one.closed()), 'the end of those that announce 256 MB');
  const slow = Array.from({ length: 40 }, () => connect({ port: broker.port, host: '127.0.0.1' }));
  const ended = slow.map((one) => new Promise((resolve) => one.on('error', resolve).on('close', resolve)));
  const drip = setInterval(() => {
    for (const one of slow)
      if (!one.destroyed) one.write(Buffer.from([one.bytesWritten === 0 ? 0x10 : 0x80]));
  }, 4000);
  for (const one of slow) one.write(Buffer.from([0x10]));
  await stillWorks('slow');
  await Promise.all(ended); // 10 s after they came
  clearInterval(drip);
  expect(memory() - before).toBeLessThan(80 * MB);
});

test('more connections than BROKER_CONNECTIONS are closed, those before live, and later ones come in again', async () => {
  const before = await enter('host1-before');
  const crowd = Array.from({ length: 200 }, () => connect({ port: broker.port, host: '127.0.0.1' }));
  let gone = 0;
  for (const one of crowd) one.on('error', () => undefined).on('close', () => gone++);
  await until(() => gone >= 50, 'the end of those that are too many');
  await before.publish('vs/1/hosts/host1/status', '{}');
  expect(before.closed()).toBe(false);
  for (const one of crowd) one.destroy();
  await stillWorks('crowd', enterLater);
});

test('more filters than BROKER_SUBSCRIPTIONS_PER_CLIENT are refused, in one packet or in many; unsubscribing makes room', async () => {
  const filters = Array.from({ length: 120 }, (_, n) => `vs/1/sagas/s${n}/state`);
  for (const clean of [true, false]) {
    const one = await enter(`operator-filters${clean}`, { clean });
    const granted = await one.subscribe(1, ...filters);
    expect(granted?.filter((code) => code === 128).length).toBe(70);
    expect(await one.subscribe(1, filters[0] ?? '')).toEqual([1]); // it has this one
    expect(await one.subscribe(1, 'vs/1/sagas/more/state')).toEqual([128]);
    one.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: [filters[1] ?? ''] });
    await until(() => one.of('unsuback').length === 1, 'UNSUBACK');
    expect(await one.subscribe(1, 'vs/1/sagas/more/state')).toEqual([1]);
  }
});

test('thousands of messages that nobody hears, while others are on their way, do not end the broker', async () => {
  const frozen = await enter('operator-frozen');
  await frozen.subscribe(0, 'vs/1/hosts/host1/#');
  frozen.socket.pause();
  const sources = await Promise.all(Array.from({ length: 30 }, (_, n) => enter(`host1-source${n}`)));
  const unheard = await enter('host2-unheard');
  const filler = Buffer.alloc(200_000, 120);
  for (let n = 0; n < 300; n++)
    sources[n % 30]?.send({
      cmd: 'publish',
      topic: 'vs/1/hosts/host1/events/loud',
      payload: filler,
      qos: 1,
      messageId: n + 1,
      retain: false,
      dup: false,
    });
  const one = { cmd: 'publish', topic: 'vs/1/hosts/host2/metrics', payload: '{}', qos: 0 } as const;
  for (let n = 0; n < 30_000; n++) unheard.send({ ...one, retain: false, dup: false });
  await unheard.publish('vs/1/hosts/host2/status', '{}');
  expect(unheard.closed()).toBe(false);
  await stillWorks('unheard');
});

test('a full queue loses QoS 0 first and QoS 1 never in silence: counted, an alert, and its end when the queue is empty', async () => {
  const away = await enter('operator-full', { clean: false });
  await away.subscribe(1, 'vs/1/sagas/+/state');
  await away.bye();
  const viewer = await enter('viewer-alerts');
  await viewer.subscribe(1, 'vs/1/master/alerts/#');
  const alerts = () => viewer.heard();
  const master = await enter('master-full');
  for (let n = 0; n < 30; n++) await master.publish('vs/1/sagas/full/state', `zero ${n}`, 0);
  for (let n = 0; n < 20; n++) await master.publish('vs/1/sagas/full/state', `one ${n}`);
  await sleep(1200);
  expect(alerts()).toEqual([]); // nothing of QoS 1 was lost
  for (let n = 20; n < 25; n++) await master.publish('vs/1/sagas/full/state', `one ${n}`);
  await until(() => alerts().length === 1, 'the alert');
  expect(alerts()[0]?.topic).toBe('vs/1/master/alerts/broker/queue-operator-full');
  expect(JSON.parse(alerts()[0]?.text ?? '')).toMatchObject({
    severity: 'warning',
    client: 'operator-full',
    user: 'operator',
  });
  // The alert outlives the broker, even one that ends as soon as it has told it, and ends when the queue is empty.
  await broker.kill();
  await broker.start();
  const later = await enter('viewer-later');
  await later.subscribe(1, 'vs/1/master/alerts/broker/#', '$SYS/broker/publish/messages/dropped');
  const laterAlerts = () => later.heard().filter(({ topic }) => topic.includes('/alerts/'));
  await until(() => laterAlerts().length === 1, 'the alert after a restart');
  const again = await enter('master-again');
  for (let n = 25; n < 30; n++) await again.publish('vs/1/sagas/full/state', `one ${n}`);
  await until(
    () => later.heard().some(({ topic, text }) => topic.endsWith('/dropped') && Number(text) >= 5),
    '$SYS counts them',
  );
  const back = await enter('operator-full', { clean: false });
  await until(() => back.heard().length === 20, 'its queue');
  expect(back.heard().map(({ text }) => text)).toEqual(Array.from({ length: 20 }, (_, n) => `one ${n}`));
  await until(() => laterAlerts().some(({ text }) => text === ''), 'the end of the alert');
});

test('a hundred thousand topics: no more are retained than allowed, and the broker lives', async () => {
  const loud = await enter('host1-loud');
  const before = memory();
  for (let round = 0; round < 100; round++) {
    for (let n = 0; n < 1000; n++)
      loud.send({
        cmd: 'publish',
        topic: `vs/1/hosts/host1/vservers/x${round}-${n}/state`,
        payload: '{}',
        qos: 0,
        retain: true,
        dup: false,
      });
    await loud.publish('vs/1/hosts/host1/events/x', '{}');
  }
  expect(loud.closed()).toBe(false);
  expect(memory() - before).toBeLessThan(150 * MB);
  const counter = await enter('operator-count');
  await counter.subscribe(0, '$SYS/broker/retained messages/#');
  const figure = (name: string) =>
    Number(counter.heard().findLast(({ topic }) => topic.endsWith(name))?.text ?? Number.NaN);
  await until(() => figure('/refused') >= 97_000, 'what was not retained is counted');
  expect(figure('/count')).toBeLessThanOrEqual(2000);
  const deep = await enter('host1-deep');
  deep.send({
    cmd: 'publish',
    topic: `vs/1/hosts/host1/${'a/'.repeat(30)}z`,
    payload: '',
    qos: 0,
    retain: false,
    dup: false,
  });
  await until(deep.closed, 'the end of too many levels');
});
