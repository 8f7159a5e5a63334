import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { realLab } from './lab-kit.ts';

/** After a power cut of the master a saga must have ended by then; generous, for test machines are slow. */
const ENDS_WITHIN = 45_000;

describe.each(['btrfs', 'dir'] as const)('a power cut of the master during a move on %s', (storage) => {
  const lab = realLab(`pw${storage}`);
  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test.each([0, 700, 1600, 3000])('%i ms after its begin: it ends by itself, one copy runs', async (ms) => {
    const from = lab.rows().find((row) => row.vserver === 'web1')?.host;
    const to = from === 'host1' ? 'host2' : 'host1';
    lab.vs(['move', 'web1', to, '--no-follow']);
    await sleep(ms);
    lab.vs(['lab', 'kill', 'master', '--name', lab.name]);
    lab.vs(['lab', 'boot', 'master', '--name', lab.name]);
    const saga = await lab.ended(ENDS_WITHIN);
    expect(['done', 'undone'], JSON.stringify(saga)).toContain(saga.result);
    expect(lab.running('web1')).toEqual([saga.result === 'done' ? to : from]);
    await lab.settled(saga.result === 'done' ? to : (from ?? ''));
    expect(lab.leftovers()).toEqual([]);
  });
});
