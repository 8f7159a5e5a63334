import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { readAudit } from '../../services/orchestrator/audit.ts';
import { openHeardAudit } from '../../services/orchestrator/heard-audit.ts';
import { createLog } from '../../shared/log.ts';
import { realBroker } from './bus-kit.ts';

let net: Awaited<ReturnType<typeof realBroker>>;
beforeAll(async () => void (net = await realBroker()));
afterAll(() => net.close());

test('with an external broker the master writes down the commands that it hears, and who says to have sent them', async () => {
  const bus = await net.bus('master');
  const settings = loadSettings({
    env: {
      ...net.environment('master'),
      VS_BROKER_KIND: 'mosquitto',
      VS_STATE_DIR: join(net.directory, 'heard'),
    },
  });
  mkdirSync(settings.STATE_DIR);
  const log = createLog('fatal', 'test');
  const context = { host: 'master', settings, bus, log, version: '0' };
  expect(openHeardAudit({ ...context, settings: { ...settings, BROKER_KIND: 'embedded' } })).toBeUndefined();
  const audit = openHeardAudit(context);
  await audit?.start();
  const operator = await net.raw('operator-1');
  const topic = 'vs/1/hosts/host1/commands/host-agent/stop';
  const send = (body: object) => operator.client.publishAsync(topic, JSON.stringify(body), { qos: 1 });
  await send({
    id: 'a',
    replyTo: 'vs/1/hosts/host1/replies/operator',
    issuer: 'anna',
    args: { name: 'web1', secret: 'planted' },
  });
  await send({ id: 'b', issuer: 'anna', args: { name: 'web2' } });
  await send({ id: 'c', issuer: { no: 'text' }, args: {} });
  const entries = () => readAudit(settings.STATE_DIR, {});
  for (let count = 0; count < 3; count = (await entries()).length) await sleep(50);
  await audit?.close();
  const about = { from: 'by mosquitto', target: 'host1', command: 'host-agent.stop', result: 'none' };
  expect(await entries()).toMatchObject([
    { ...about, user: 'operator?', id: 'a', args: { name: 'web1' } },
    { ...about, user: 'anna?', id: 'b', args: { name: 'web2' } },
    { ...about, user: '?', id: 'c' },
  ]);
  expect(readFileSync(join(settings.STATE_DIR, 'audit.jsonl'), 'utf8')).not.toContain('planted');
});
