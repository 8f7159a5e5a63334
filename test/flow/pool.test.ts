import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { openPool } from '../../services/orchestrator/pool.ts';
import { channels } from '../../shared/contract/channels.ts';
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
  const pool = openPool({ bus, settings: loadSettings({ env: broker.environment('master') }) }, 300);
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
