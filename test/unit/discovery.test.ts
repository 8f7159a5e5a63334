import { expect, test } from 'vitest';
import { discoveryAccess } from '../../broker/discovery-access.ts';
import { entitiesOf } from '../../services/discovery/entities.ts';
import { type Told, keepStep } from '../../services/discovery/keep.ts';
import { ownersOf } from '../../services/discovery/pool.ts';
import { channels } from '../../shared/contract/channels.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { faultsOf } from './home-assistant.ts';

const state = (host: string, name: string, epoch: number) =>
  ({ ...channels['vserverState']?.example, host, name, epoch }) as VserverState;

test('a vserver is where its highest epoch is, and nowhere when nobody owns it', () => {
  const owners = ownersOf([
    state('host1', 'web1', 3),
    state('host2', 'web1', 4),
    state('host3', 'web1', 0),
    state('host1', 'web2', 0),
  ]);
  expect(owners.map(({ host, name }) => `${name} ${host}`)).toEqual(['web1 host2']);
});

test('what is not wanted any more goes after the grace, unless it is wanted again', () => {
  const told = new Map<string, Told>([['old', { text: '' }]]);
  const step = (wanted: object, now: number) => keepStep(told, new Map(Object.entries(wanted)), now, 100);
  expect(step({ a: '1', b: '1' }, 0)).toEqual({ say: ['a', 'b'], clear: [], again: 100 });
  expect(step({ a: '1', b: '2' }, 60)).toEqual({ say: ['b'], clear: [], again: 40 });
  expect(step({ a: '1' }, 100)).toEqual({ say: [], clear: ['old'], again: 100 });
  expect(step({ a: '1', b: '2' }, 199)).toEqual({ say: [], clear: [] });
  expect(step({}, 300)).toEqual({ say: [], clear: [], again: 100 });
  expect(step({}, 400)).toEqual({ say: [], clear: ['a', 'b'] });
  expect(step({ a: '1' }, 401)).toEqual({ say: ['a'], clear: [] });
});

test('ids hold no host of a vserver and differ between pools; each configuration is one that Home Assistant takes', () => {
  const of = (base: string, host: string) =>
    entitiesOf('homeassistant', {
      base,
      version: '1.2.3',
      expire: 60,
      hosts: [{ name: 'host1', version: '1.2.3', kernel: '6.12' }, { name: 'host2' }],
      vservers: [state(host, 'web1', 1)],
    });
  const before = of('vs/1', 'host1');
  expect([...of('vs/1', 'host2').keys()]).toEqual([...before.keys()]);
  expect(before.size).toBeGreaterThan(15);
  for (const [topic, payload] of before) {
    expect([topic, faultsOf(topic, payload)]).toEqual([topic, []]);
    expect(Buffer.byteLength(JSON.stringify(payload))).toBeLessThan(2000);
  }
  expect([...of('pool/b', 'host1').keys()].filter((topic) => before.has(topic))).toEqual([]);
});

test('the documentation of Home Assistant is held against what is wrong, too', () => {
  const [topic = '', payload = {}] =
    [
      ...entitiesOf('homeassistant', {
        base: 'vs/1',
        version: '1',
        expire: 60,
        hosts: [{ name: 'host1' }],
        vservers: [],
      }),
    ].find(([one]) => one.includes('/disk_free/')) ?? [];
  expect(faultsOf(topic, payload)).toEqual([]);
  for (const change of [
    { stat_class: 'measurement' },
    { state_topic: 'vs/1/hosts/+/metrics' },
    { unit_of_measurement: 'bytes' },
    { options: ['a'] },
    { device: { name: 'x' } },
    { expire_after: 0.5 },
  ])
    expect([change, faultsOf(topic, { ...payload, ...change }).length > 0]).toEqual([change, true]);
  for (const wrong of [
    'homeassistant/sensor/a/config',
    'homeassistant/sensor/a b/c/config',
    'homeassistant/pump/a/b/config',
  ])
    expect(faultsOf(wrong, payload)).toHaveLength(1);
});

test('below the prefix only the master publishes, and only configurations', () => {
  const config = 'homeassistant/sensor/a/b/config';
  const may = (prefix: string, topic: string) => {
    const access = discoveryAccess(prefix);
    return (['agent', 'master', 'operator', 'viewer', 'custom'] as const).map((role) => [
      access.mayPublish({ role }, topic),
      access.mayRead({ role }, topic),
    ]);
  };
  const none = [false, false];
  expect(may('homeassistant', config)).toEqual([none, [true, true], [false, true], [false, true], none]);
  for (const [prefix, topic] of [
    ['', config],
    ['other', config],
    ['', '/sensor/a/b/config'],
    ['homeassistant', 'homeassistant/status'],
    ['homeassistant', 'homeassistant/sensor/a/config'],
  ] as const)
    expect([topic, may(prefix, topic)]).toEqual([topic, [none, none, none, none, none]]);
});
