import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import type { Deciding } from '../../services/orchestrator/plans/planned.ts';
import { planMove } from '../../services/orchestrator/plans/move.ts';
import { openPool } from '../../services/orchestrator/pool.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { channels } from '../../shared/contract/channels.ts';
import { VsError } from '../../shared/errors.ts';
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

test('a vserver that went while the master heard nothing is gone, one that cannot be read stays', async () => {
  const bus = await broker.bus('master', {}, proxy.port);
  const pool = openPool({ bus, settings: loadSettings({ env: broker.environment('master') }) }, 3000);
  await pool.start();
  const agent = await broker.raw('host1-a');
  const say = (name: string, text: string) =>
    agent.client.publishAsync(`vs/1/hosts/host1/vservers/${name}/state`, text, { qos: 1, retain: true });
  const state = (name: string) =>
    JSON.stringify({ ...channels['vserverState']?.example, name, host: 'host1' });
  await say('web1', state('web1'));
  await say('web2', state('web2'));
  await until(() => pool.all().length === 2, 'both');
  await say('web2', '{"of":"a newer agent"}');
  await say('web3', state('web3'));
  await until(() => pool.all().length === 3, 'the third');
  expect(pool.of('web2')).toHaveLength(1);

  proxy.rules.down = true;
  proxy.cut();
  await until(() => !bus.connected, 'the connection is gone');
  await say('web1', '');
  proxy.rules.down = false;
  await until(() => pool.of('web1').length === 0, 'web1 is gone', 20_000);
  expect(() => pool.locate('web1')).toThrow('there is no vserver web1');
  expect(pool.locate('web3').host).toBe('host1');
});

test('a move to the former host is not refused for a copy that is gone, which the master did not hear of', async () => {
  const bus = await broker.bus('master', {}, proxy.port);
  const settings = loadSettings({ env: broker.environment('master') });
  const pool = openPool({ bus, settings }, 60_000);
  await pool.start();
  let old = false;
  const gone = async () => {
    throw new VsError('not-found', 'host1 has no vserver web4');
  };
  const example = channels['vserverState']?.example;
  const state = (host: string, epoch: number) =>
    ({ ...example, name: 'web4', host, epoch, state: 'stopped' }) as unknown as VserverState;
  const host1 = await broker.bus('host1', {
    'host-agent.show': async () => (old ? { state: state('host1', 0), config: {} as never } : gone()),
    'transfer.check': async () => ({}),
  });
  const host2 = await broker.bus('host2', {
    'snapshot.usage': async () => ({ bytes: 1000, files: 2, nested: false }),
    'transfer.check': async () => ({}),
  });
  const topic = (host: string) => `vs/1/hosts/${host}/vservers/web4/state`;
  for (const [one, host, epoch] of [
    [host1, 'host1', 0],
    [host2, 'host2', 2],
  ] as const) {
    one.retain(one.topics.info(host), { ...channels['hostInfo']?.example, host });
    one.retain(topic(host), state(host, epoch));
  }
  await until(() => pool.of('web4').length === 2 && pool.info('host1') !== undefined, 'both');
  const ears = await broker.raw('operator-ears', [topic('host1')]);
  proxy.rules.down = true;
  proxy.cut();
  await until(() => !bus.connected, 'the connection is gone');
  host1.retain(topic('host1'), null);
  await until(() => ears.on(topic('host1')).at(-1)?.text === '', 'the broker has cleared it');
  proxy.rules.down = false;
  await until(() => bus.connected && pool.isOnline('host1'), 'the master is back', 20_000);
  expect(pool.of('web4')).toHaveLength(2); // as far as the master heard

  const deciding = { context: { bus, settings }, pool } as unknown as Deciding;
  const asked = { name: 'web4', host: 'host1' };
  expect((await planMove(deciding, asked)).title).toContain('web4: host2 -> host1');
  old = true;
  await expect(planMove(deciding, asked)).rejects.toThrow('host1 has an old copy of web4');
});

test('the pool is heard once each host of slaves.conf has said whether it is there, and what it is', async () => {
  const own = await realBroker();
  writeFileSync(join(own.directory, 'slaves.conf'), 'host1\nhost2\n');
  const bus = await own.bus('master');
  const pool = openPool({ bus, settings: loadSettings({ env: own.environment('master') }) });
  await pool.start();
  const forever = 1_000_000;
  const agents = await Promise.all(['host1', 'host2'].map((host) => own.raw(`${host}-a`)));
  const say = (index: number, what: string, body: object) =>
    agents[index]?.client.publishAsync(`vs/1/hosts/host${index + 1}/${what}`, JSON.stringify(body), {
      qos: 1,
      retain: true,
    });
  let isHeard = false;
  const heard = pool.settled(forever).then((all) => (isHeard = all));
  expect(await pool.settled(300)).toBe(false); // nobody said anything, and it does not wait for ever
  await say(0, 'status', { ...channels['hostStatus']?.example, state: 'offline' });
  await say(1, 'status', { ...channels['hostStatus']?.example, state: 'online' });
  await until(() => pool.isOnline('host2'), 'host2 is online');
  expect(await pool.settled(300)).toBe(false); // it did not say what it is
  expect(isHeard).toBe(false);
  await say(1, 'info', { ...channels['hostInfo']?.example, host: 'host2' });
  expect(await heard).toBe(true);
  expect(pool.requireHost('host2').host).toBe('host2');
  await own.close();
});
