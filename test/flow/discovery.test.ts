import { type ChildProcess, spawn } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { service } from '../../services/discovery/main.ts';
import { channels } from '../../shared/contract/channels.ts';
import { createLog } from '../../shared/log.ts';
import { cli, realBroker, until } from './bus-kit.ts';
import { faultsOf } from '../unit/home-assistant.ts';

type Broker = Awaited<ReturnType<typeof realBroker>>;
type Raw = Awaited<ReturnType<Broker['raw']>>;
const prefix = 'homeassistant';
const filter = `${prefix}/+/+/+/config`;
const settings = { VS_HOMEASSISTANT_PREFIX: prefix };
const example = (key: string) => channels[key]?.example as Record<string, unknown>;
let broker: Broker;
const hosts: Record<string, Raw> = {};
/** As Home Assistant would: a viewer. */
let viewer: Raw;
const children: ChildProcess[] = [];

const retain = (host: string, topic: string, body: object | null) =>
  hosts[host]?.client.publishAsync(`vs/1/hosts/${host}/${topic}`, body ? JSON.stringify(body) : '', {
    qos: 1,
    retain: true,
  });
const vserver = (host: string, name: string, epoch: number) =>
  retain(host, `vservers/${name}/state`, { ...example('vserverState'), host, name, epoch });
/** What the configurations are now. */
function configurations(): Map<string, Record<string, unknown>> {
  const now = new Map<string, Record<string, unknown>>();
  for (const { topic, text, body } of viewer.heard) {
    if (text) now.set(topic, body);
    else now.delete(topic);
  }
  return now;
}
const nodes = () => [...new Set([...configurations().keys()].map((topic) => topic.split('/')[2]))].sort();
const cpuOf = (name: string) => configurations().get(`${prefix}/sensor/vs_1_vserver_${name}/cpu/config`);

/** The service in this process, with little patience for what is not wanted any more. */
async function discovery(graceMs: number) {
  const bus = await broker.bus('master');
  const one = service(
    {
      host: 'master',
      bus,
      log: createLog('fatal', 'master'),
      version: '1.2.3',
      settings: loadSettings({ file: '/nonexistent', env: { ...broker.environment('master'), ...settings } }),
    },
    { graceMs },
  );
  await one.start?.();
  return one;
}

beforeAll(async () => {
  broker = await realBroker(settings);
  for (const host of ['host1', 'host2']) hosts[host] = await broker.raw(`${host}-a`);
  viewer = await broker.raw('viewer-ha', [filter]);
  for (const host of ['host1', 'host2']) {
    await retain(host, 'status', example('hostStatus'));
    await retain(host, 'info', { ...example('hostInfo'), host });
  }
  await vserver('host1', 'web1', 3);
  await vserver('host1', 'web2', 1);
  await vserver('host2', 'web2', 0); // files of it
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await broker.close();
});

test('as a service of its own: each host and vserver has its configurations, which Home Assistant takes', async () => {
  const child = spawn(process.execPath, [cli, 'service', 'discovery'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...broker.environment('master'),
      ...settings,
      VS_STATE_DIR: broker.directory,
      VS_LOG_LEVEL: 'error',
    },
  });
  children.push(child);
  const all = ['vs_1_host_host1', 'vs_1_host_host2', 'vs_1_vserver_web1', 'vs_1_vserver_web2'];
  await until(() => nodes().length === 4 && cpuOf('web2') !== undefined, 'all of them');
  expect(nodes()).toEqual(all);
  const ids = new Set<unknown>();
  for (const [topic, payload] of configurations()) {
    expect([topic, faultsOf(topic, payload)]).toEqual([topic, []]);
    ids.add(payload['unique_id']);
  }
  expect(ids.size).toBe(configurations().size);
  expect(cpuOf('web1')).toMatchObject({
    unique_id: 'vs_1_vserver_web1_cpu',
    state_topic: 'vs/1/hosts/host1/vservers/web1/metrics',
    availability: [{ topic: 'vs/1/hosts/host1/status' }],
    device: { name: 'web1', via_device: 'vs_1_host_host1' },
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
});

test('what went while nobody looked is taken back, a move changes topics and no ids, what went goes', async () => {
  await retain('host1', 'vservers/web2/state', null);
  await retain('host2', 'vservers/web2/state', null);
  const one = await discovery(1500);
  await until(() => nodes().every((node) => node !== 'vs_1_vserver_web2'), 'web2 is taken back');
  expect(nodes()).toHaveLength(3);

  // A move: for a moment nobody owns it.
  const seen: number[] = [];
  const watch = setInterval(() => seen.push(nodes().length), 10);
  await vserver('host1', 'web1', 0);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await vserver('host2', 'web1', 4);
  await until(() => String(cpuOf('web1')?.['state_topic']).includes('/host2/'), 'web1 is on host2');
  await retain('host1', 'vservers/web1/state', null);
  const moved = [...configurations()].filter(([topic]) => topic.includes('_web1/'));
  await until(
    () => moved.every(([topic]) => JSON.stringify(configurations().get(topic)).includes('host2')),
    'all',
  );
  clearInterval(watch);
  expect(Math.min(...seen)).toBe(3);
  for (const [topic, payload] of configurations()) {
    expect([topic, faultsOf(topic, payload)]).toEqual([topic, []]);
    if (topic.includes('_web1/')) expect(JSON.stringify(payload)).not.toContain('host1');
  }
  expect(cpuOf('web1')?.['unique_id']).toBe('vs_1_vserver_web1_cpu');

  await retain('host2', 'vservers/web1/state', null);
  await retain('host2', 'status', null);
  await retain('host2', 'info', null);
  await until(() => nodes().length === 1, 'web1 and host2 are gone');
  expect(nodes()).toEqual(['vs_1_host_host1']);
  await one.stop?.();
});

test('only the master tells; what is not ours stays; without the setting the broker takes nothing', async () => {
  const operator = await broker.raw('operator-a', [filter]);
  const master = await broker.raw('master-a');
  const denied = `${prefix}/sensor/x/y/config`;
  for (const who of [operator, viewer, hosts['host1'] as Raw]) await who.send(denied, { name: 'x' });
  for (const topic of [`${prefix}/status`, `${prefix}/sensor/y/config`, 'other/sensor/x/y/config'])
    await master.send(topic, { name: 'x' });
  const foreign = `${prefix}/switch/foreign/x/config`;
  await master.client.publishAsync(foreign, '{"name":"x"}', {
    qos: 1,
    retain: true,
  });
  await until(() => [viewer, operator].every((one) => one.on(foreign).length > 0), 'the master may');
  expect(
    [viewer, operator]
      .flatMap((one) => one.heard.filter(({ topic }) => !topic.includes('vs_1_')))
      .map((one) => one.topic),
  ).toEqual([foreign, foreign]);
  const one = await discovery(50);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(configurations().has(foreign)).toBe(true);
  await one.stop?.();

  const closed = await realBroker();
  const there = await closed.raw('master-a', [filter]);
  await there.send(denied, { name: 'x' });
  await there.send('vs/1/master/events/x', example('masterEvent'));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(there.heard).toEqual([]);
  await closed.close();
});
