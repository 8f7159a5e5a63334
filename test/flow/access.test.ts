import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kind } from './brokers.ts';
import { realBroker, until } from './bus-kit.ts';

let net: Awaited<ReturnType<typeof realBroker>>;
const of = (host: string, below: string) => `vs/1/hosts/${host}/${below}`;
const command = (host: string) => of(host, 'commands/host-agent/stop');

beforeAll(async () => void (net = await realBroker()));
afterAll(() => net.close());

/** A message that is let through, after all that was sent before it. */
async function mark(ears: { on: (topic: string) => unknown[] }, from: string): Promise<void> {
  const sender = await net.raw(`${from}-mark${Math.random().toString(36).slice(2, 8)}`);
  const topic = of(from, `events/mark${Math.random().toString(36).slice(2, 8)}`);
  await sender.send(topic, {});
  await until(() => ears.on(topic).length > 0, `the mark of ${from}`);
  await sleep(200);
}

test('an agent publishes below its own host only, and no commands to itself', async () => {
  const ears = await net.raw('operator-agents', [
    'vs/1/hosts/host1/#',
    'vs/1/hosts/host2/#',
    'vs/1/master/status',
  ]);
  const agent = await net.raw('host1-agent');
  for (const topic of [
    of('host2', 'status'),
    of('host2', 'vservers/web1/state'),
    of('host2', 'events/x'),
    command('host1'),
    command('host2'),
    'vs/1/master/status',
    'vs/1/sagas/x/state',
  ])
    await agent.send(topic, { forged: true });
  await agent.send(of('host1', 'vservers/web1/state'), { forged: false });
  await mark(ears, 'host1');
  expect(ears.heard.filter((one) => one.body['forged'] !== undefined).map((one) => one.topic)).toEqual([
    of('host1', 'vservers/web1/state'),
  ]);
});

test('a forged message that is retained stays nowhere', async () => {
  const agent = await net.raw('host1-retain');
  for (const topic of [of('host2', 'info'), 'vs/1/master/status'])
    await agent.client.publishAsync(topic, '{"forged":true}', { qos: 1, retain: true });
  await agent.client.publishAsync(of('host1', 'info'), '{"forged":false}', { qos: 1, retain: true });
  const late = await net.raw('operator-late', ['vs/1/hosts/+/info', 'vs/1/master/status']);
  await until(() => late.heard.length > 0, 'what is retained');
  await sleep(300);
  expect(late.heard.map((one) => one.topic)).toEqual([of('host1', 'info')]);
});

test('an agent hears its own commands, and neither those of others nor replies to others, whatever it asks for', async () => {
  const agent = await net.raw('host1-ears', ['vs/1/hosts/host1/commands/+/+', 'vs/1/hosts/+/status']);
  const nosy = [
    'vs/1/hosts/host2/commands/+/+',
    'vs/1/hosts/+/commands/+/+',
    'vs/1/hosts/+/replies/operator',
    'vs/1/hosts/+/replies/+',
    'vs/1/hosts/+/events/#',
    'vs/1/#',
    '#',
  ];
  for (const filter of nosy) await agent.client.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
  const operator = await net.raw('operator-commands');
  const other = await net.raw('host2-replies');
  await operator.send(command('host2'), { n: 2 });
  await other.send(of('host2', 'replies/operator'), { n: 3 });
  await other.send(of('host2', 'replies/operator-commands'), { n: 4 });
  await other.send(of('host2', 'events/x'), { n: 5 });
  await operator.send(command('host1'), { n: 1 });
  await until(() => agent.on(command('host1')).length > 0, 'its own command');
  await sleep(300);
  expect(
    [...new Set(agent.heard.map((one) => one.topic))].filter((topic) => !topic.endsWith('/status')),
  ).toEqual([command('host1')]);
});

test('a viewer sends no command and hears neither commands nor replies to others; states it hears', async () => {
  const agent = await net.raw('host1-serves', ['vs/1/hosts/host1/commands/+/+']);
  const viewer = await net.raw('viewer-ears', ['vs/1/hosts/+/vservers/+/state']);
  for (const filter of [
    'vs/1/hosts/+/commands/+/+',
    'vs/1/hosts/+/replies/+',
    'vs/1/hosts/+/replies/operator',
    'vs/1/hosts/#',
    '#',
  ])
    await viewer.client.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
  await viewer.send(command('host1'), { by: 'viewer' });
  await viewer.send('vs/1/master/commands/orchestrator/move', { by: 'viewer' });
  const operator = await net.raw('operator-sends');
  await agent.send(of('host1', 'replies/operator'), { n: 1 });
  await agent.send(of('host1', 'vservers/web1/state'), { n: 2 });
  await operator.send(command('host1'), { by: 'operator' });
  await until(() => agent.heard.length > 0 && viewer.heard.length > 0, 'command and state');
  await sleep(300);
  expect(agent.heard.map((one) => one.body['by'])).toEqual(['operator']);
  const heard = viewer.heard.map((one) => one.topic).filter((topic) => topic !== of('host1', 'info'));
  expect([...new Set(heard)]).toEqual([of('host1', 'vservers/web1/state')]);
});

test('an operator forges no state, and hears no replies to another', async () => {
  const operator = await net.raw('operator-forges', ['vs/1/hosts/host1/#']);
  for (const filter of ['vs/1/hosts/+/replies/master', 'vs/1/hosts/+/replies/+', '#'])
    await operator.client.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
  await operator.send(of('host1', 'vservers/web7/state'), { forged: true });
  const agent = await net.raw('host1-replies');
  await agent.send(of('host1', 'replies/master'), { forged: true });
  await agent.send(of('host1', 'replies/master-1'), { forged: true });
  await mark(operator, 'host1');
  expect(operator.heard.filter((one) => one.body['forged'])).toEqual([]);
});

test('a will into a foreign topic is not carried out', async () => {
  const ears = await net.raw('operator-wills', ['vs/1/hosts/+/status']);
  for (const [host, topic] of [
    ['host1', of('host2', 'status')],
    ['host1', of('host1', 'status')],
  ] as const) {
    const dying = await net.raw(`${host}-will${topic.includes('host2') ? 2 : 1}`, [], {
      topic,
      text: JSON.stringify({ will: topic }),
    });
    dying.client.options.reconnectPeriod = 0;
    dying.client.stream.destroy();
  }
  await until(() => ears.heard.some((one) => one.body['will']), 'its own will');
  await sleep(300);
  expect(ears.heard.flatMap((one) => one.body['will'] ?? [])).toEqual([of('host1', 'status')]);
});

test('who takes over the client id of another hears nothing that is for the other', async () => {
  const agent = await net.raw('host2-answers');
  const thief = await connectAsync({
    ...net.options('host1'),
    clientId: 'operator-victim',
    reconnectPeriod: 0,
  }).catch((error: Error) => error.message);
  if (typeof thief === 'string') {
    expect(kind).toBe('embedded'); // it binds client ids to users; the others bind the topics of replies
    return;
  }
  const heard: string[] = [];
  thief.on('message', (topic) => void heard.push(topic));
  for (const filter of ['vs/1/hosts/+/replies/operator-victim', 'vs/1/hosts/+/replies/operator'])
    await thief.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
  await agent.send(of('host2', 'replies/operator'), {});
  await sleep(500);
  expect(heard).toEqual([]);
  await thief.endAsync(true);
});

test('a wrong password, no certificate and a foreign authority are let in nowhere', async () => {
  const refused = async (more: object) => {
    const options = {
      ...net.options('operator'),
      clientId: 'operator-wrong',
      reconnectPeriod: 0,
      connectTimeout: 3000,
      ...more,
    };
    const client = await Promise.race([
      connectAsync(options).catch(() => 'refused'),
      sleep(5000).then(() => 'refused'),
    ]);
    if (typeof client !== 'string') await client.endAsync(true);
    return client;
  };
  expect(await refused({ password: 'guess' })).toBe('refused');
  expect(await refused({ password: undefined, cert: undefined, key: undefined })).toBe('refused');
  if (kind === 'embedded') return; // test/flow/tls.test.ts
  expect(await refused({ ...net.options('host1'), ...net.certificate('host1', 'elsewhere') })).toBe(
    'refused',
  );
});

test.skipIf(kind === 'embedded')('a good certificate of nobody the pool knows opens nothing', async () => {
  const options = { ...net.options('host1'), ...net.certificate('nobody', 'pool'), username: 'nobody' };
  const agent = await net.raw('host1-known');
  const connecting = connectAsync({ ...options, clientId: 'nobody', reconnectPeriod: 0 });
  const client = await Promise.race([
    connecting.catch(() => 'refused' as const),
    sleep(5000).then(() => 'refused' as const),
  ]);
  if (client === 'refused') return expect(kind).toBe('nats');
  const heard: string[] = [];
  client.on('message', (topic) => void heard.push(topic));
  await client.subscribeAsync(['#', 'vs/1/#', 'vs/1/hosts/+/status'], { qos: 1 }).catch(() => undefined);
  await agent.send(of('host1', 'events/x'), {});
  await agent.client.publishAsync(of('host1', 'status'), '{}', { qos: 1, retain: true });
  await sleep(500);
  expect(heard).toEqual([]);
  await client.endAsync(true);
});
