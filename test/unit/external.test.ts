import { expect, test } from 'vitest';
import { covers, mayPublish, mayRead } from '../../broker/access.ts';
import { mosquittoConfig } from '../../broker/external/mosquitto.ts';
import { meet, narrowFilters } from '../../broker/external/narrow.ts';
import { natsConfig, subjectsOf } from '../../broker/external/nats.ts';
import type { Person } from '../../broker/rights.ts';
import { channels } from '../../shared/contract/channels.ts';
import { matches } from '../../shared/contract/topics.ts';
import { brokerUrl, brokerUrls } from '../../shared/bus/wire.ts';

const people: Person[] = [
  { name: 'host1', role: 'agent' },
  { name: 'master', role: 'master' },
  { name: 'operator', role: 'operator' },
  { name: 'viewer', role: 'viewer' },
  { name: 'wide', role: 'custom', read: ['#'], write: ['vs/1/#'] },
  {
    name: 'odd',
    role: 'custom',
    read: ['vs/1/+/+/+/+/state', 'a/#', '$SYS/#'],
    write: ['vs/1/hosts/+/+', '$SYS/x'],
  },
  { name: 'starter', role: 'custom', read: [], write: ['vs/1/hosts/+/commands/host-agent/start'] },
  {
    name: 'nosy',
    role: 'custom',
    read: ['vs/1/hosts/host1/commands/#', 'vs/1/hosts/+/replies/#'],
    write: ['vs/1/hosts/host1/replies/+'],
  },
];
/** Every topic of the contract with every name in it, and some that are none. */
const topics = [
  ...Object.values(channels).flatMap(({ topic }) =>
    ['host1', 'host2'].flatMap((host) =>
      [...people.map((one) => one.name), 'x'].map(
        (name) => `vs/1/${topic.replace('{host}', host).replaceAll(/\{\w+\}/g, name)}`,
      ),
    ),
  ),
  'vs/1/hosts/host1/commands/host-agent/start',
];

test('what an external broker allows is what the embedded one allows, topic by topic', () => {
  for (const who of people) {
    const { publish, read } = narrowFilters('vs/1', who);
    for (const topic of topics) {
      const identity = { ...who, clientId: who.name };
      expect([who.name, topic, publish.some((one) => matches(one, topic))]).toEqual([
        who.name,
        topic,
        mayPublish('vs/1', identity, topic, true),
      ]);
      expect([who.name, topic, read.some((one) => matches(one, topic))]).toEqual([
        who.name,
        topic,
        mayRead('vs/1', identity, topic),
      ]);
    }
  }
});

test('nothing that is allowed holds replies to others, or commands of an agent to itself', () => {
  for (const who of people) {
    const { publish, read } = narrowFilters('vs/1', who);
    for (const filter of read.filter(
      (one) => meet(one, 'vs/1/hosts/+/replies/+') ?? meet(one, 'vs/1/master/replies/+'),
    ))
      expect(filter.endsWith(`/replies/${who.name}`), filter).toBe(true);
    if (who.role === 'agent')
      expect(publish.filter((one) => meet(one, 'vs/1/hosts/+/commands/#'))).toEqual([]);
    expect(publish.filter((one) => one.startsWith('$') || one === '#')).toEqual([]);
  }
});

test.each([
  ['a/+/c', 'a/b/+', 'a/b/c'],
  ['#', 'a/+', 'a/+'],
  ['a/#', 'a', 'a'],
  ['a/#', '+/b/#', 'a/b/#'],
  ['a/b', 'a/c', undefined],
  ['a/b', 'a/b/c', undefined],
  ['+/+', 'a/b/#', 'a/b'],
])('%s meets %s in %s', (one, other, expected) => {
  expect(meet(one, other)).toBe(expected);
  expect(meet(other, one)).toBe(expected);
  if (expected) expect(covers(one, expected) && covers(other, expected)).toBe(true);
});

test('MQTT filters as NATS subjects', () => {
  expect(subjectsOf('vs/1/hosts/+/status')).toEqual(['vs.1.hosts.*.status']);
  expect(subjectsOf('vs/1/sagas/#')).toEqual(['vs.1.sagas.>', 'vs.1.sagas']);
  expect(subjectsOf('#')).toEqual(['>']);
});

const limits = {
  BASE_TOPIC: 'vs/1',
  HOMEASSISTANT_PREFIX: 'homeassistant',
  BROKER_SESSION_HOURS: 24,
  BROKER_QUEUE_MESSAGES: 1000,
  BROKER_QUEUE_BYTES: 8_388_608,
  BROKER_CONNECTIONS: 5000,
  BROKER_PACKET_BYTES: 1_048_576,
};
const secret = { salt: '00', hash: '00' };
const paths = { out: '/o', data: '/d', cert: '/c.pem', key: '/c.key', ca: '/ca.pem' };

test('mosquitto: a user without rights has none, one whose password it cannot check is named, listeners have TLS', () => {
  const users = {
    anna: { role: 'operator', ...secret, mosquitto: '$7$1$AA==$AA==' },
    bert: { role: 'viewer', ...secret },
  } as const;
  const { files, without } = mosquittoConfig(
    users,
    { ...paths, certificates: '10.0.0.1:8883', passwords: '8884', runAs: 'mosquitto' },
    limits,
  );
  const text = Object.fromEntries(files.map((one) => [one.path, one.text]));
  expect(without).toEqual(['bert']);
  expect(text['/o/passwords']?.split('\n').slice(1)).toEqual(['anna:$7$1$AA==$AA==', '']);
  expect(text['/o/access']).toMatch(/user bert\ntopic read /);
  expect(text['/o/access']).not.toMatch(/pattern/);
  expect(text['/o/access']).toMatch(/topic read homeassistant\//);
  expect(text['/o/access']).not.toMatch(/topic write homeassistant\//); // only the master does
  const conf = text['/o/mosquitto.conf'] ?? '';
  expect(conf.match(/^listener .*$/gm)).toEqual(['listener 8883 10.0.0.1', 'listener 8884']);
  expect(conf.match(/^certfile /gm)).toHaveLength(2);
});

test('NATS: who may publish nothing is denied everything, for an empty list would allow it', () => {
  const nodes = [1, 2, 3].map((n) => ({
    name: `n${n}`,
    address: `10.0.0.${n}`,
    port: 8883,
    routePort: 6222,
  }));
  const files = natsConfig(
    { bert: { role: 'viewer', ...secret } },
    { ...paths, nodes, secret: 'ab' },
    limits,
  );
  expect(files.map((one) => one.path)).toEqual([
    '/o/cluster.secret',
    ...nodes.flatMap(({ name }) => [`/o/${name}/nats.conf`, `/o/${name}/users.conf`]),
  ]);
  expect(files[2]?.text).toContain('publish: { deny: ">" }');
  expect(files[2]?.text).not.toContain('allow: []');
  expect(files[1]?.text).toContain(
    'routes: ["nats-route://vs:ab@10.0.0.2:6222", "nats-route://vs:ab@10.0.0.3:6222"]',
  );
});

test('BROKER_URL: one broker, or the nodes of a cluster, of which each client begins with another', () => {
  for (const good of [
    'mqtts://a:8883',
    'mqtts://a:8883,mqtts://b',
    'unix:///run/a,b.sock',
    'mqtt://[::1]:1883',
  ])
    expect(brokerUrl.test(good), good).toBe(true);
  for (const bad of ['mqtts://a,', 'mqtts://a, mqtts://b', 'http://a', 'mqtts://a,unix:///b', 'mqtts://a/x'])
    expect(brokerUrl.test(bad), bad).toBe(false);
  expect(brokerUrls('mqtts://a,mqtts://b,mqtts://c', () => 0.5)).toEqual([
    'mqtts://b',
    'mqtts://c',
    'mqtts://a',
  ]);
  expect(brokerUrls('unix:///a,b')).toEqual(['unix:///a,b']);
});
