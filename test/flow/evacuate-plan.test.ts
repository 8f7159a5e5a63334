import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadSettings } from '../../config/settings.ts';
import { openMarks } from '../../services/orchestrator/marks.ts';
import { planEvacuate } from '../../services/orchestrator/plans/evacuate.ts';
import type { Deciding } from '../../services/orchestrator/plans/planned.ts';
import { openPool } from '../../services/orchestrator/pool.ts';
import { channels } from '../../shared/contract/channels.ts';
import { realBroker, until } from './bus-kit.ts';

let broker: Awaited<ReturnType<typeof realBroker>>;
beforeAll(async () => {
  broker = await realBroker();
});
afterAll(() => broker.close());

test('an evacuation is decided by what its host says of memory, and waits for no figures', async () => {
  // the next figures would come in an hour
  const env = { ...broker.environment('master'), VS_METRICS_INTERVAL: '3600' };
  const bus = await broker.bus('master');
  const settings = loadSettings({ env });
  const pool = openPool({ bus, settings });
  await pool.start();
  const used = [
    { name: 'web1', mem_bytes: 300_000_000 },
    { name: 'web2', mem_bytes: 400_000_000 }, // which has a limit
  ];
  let fails = false;
  const host1 = await broker.bus('host1', {
    'snapshot.usage': async () => ({ bytes: 1000, files: 2, nested: false }),
    'monitor.memory': async () => {
      if (fails) throw new Error('no cgroups');
      return { vservers: used };
    },
  });
  const host2 = await broker.bus('host2');
  for (const one of [host1, host2])
    one.retain(one.topics.info(one.target), { ...channels['hostInfo']?.example, host: one.target });
  for (const [name, state, limits] of [
    ['web1', 'running', {}],
    ['web2', 'running', { memory_bytes: 500_000_000 }],
    ['web3', 'stopped', {}],
  ] as const)
    host1.retain(host1.topics.vserverState('host1', name), {
      ...channels['vserverState']?.example,
      name,
      state,
      limits,
      host: 'host1',
    });
  await until(() => pool.all().length === 3 && pool.info('host2') !== undefined, 'the pool is heard');
  const lines: string[] = [];
  const log = { warn: (_facts: unknown, text: string) => void lines.push(text) };
  const deciding = {
    context: { bus, settings, log },
    pool,
    marks: openMarks(settings),
  } as unknown as Deciding;
  const memory = async () => {
    const { plan } = await planEvacuate(deciding, { host: 'host1' });
    const { vservers } = plan as { vservers: { name: string; memory: number; to?: string }[] };
    expect(vservers.map((one) => one.to)).toEqual(['host2', 'host2', 'host2']);
    return vservers.map((one) => one.memory);
  };
  expect(await memory()).toEqual([300_000_000, 500_000_000, 0]);
  fails = true;
  expect(await memory()).toEqual([0, 500_000_000, 0]);
  expect(lines.join('\n')).toContain('counts as if it used no memory');
});
