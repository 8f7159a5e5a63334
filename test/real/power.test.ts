import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { realLab } from './lab-kit.ts';

/** After a power cut of the master a saga must have ended by then; generous, for test machines are slow. */
const ENDS_WITHIN = 45_000;

/** VS_TEST_FULL=1: every step. */
const full = process.env['VS_TEST_FULL'] === '1';

describe.each(['btrfs', 'dir'] as const)('a power cut of the master during a move on %s', (storage) => {
  const lab = realLab(`pw${storage}`);
  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test.each(full ? [0, 500, 1000, 2000] : storage === 'btrfs' ? [0, 1000] : [600])(
    '%i ms after its begin: it ends by itself, one copy runs',
    async (ms) => {
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
    },
  );
});

describe('a power cut of a host during a move', () => {
  const lab = realLab('pwhost');
  beforeAll(() => {
    lab.up();
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--enable', '--start']);
    lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=60 status=none');
  });
  afterAll(() => lab.down());

  const some = [
    { victim: 'source', step: 'final' },
    { victim: 'source', step: 'give up' },
    { victim: 'target', step: 'adopt' },
    { victim: 'target', step: 'start' },
  ];
  const more = [
    { victim: 'source', step: 'seed' },
    { victim: 'source', step: 'clean up' },
    { victim: 'target', step: 'seed' },
    { victim: 'target', step: 'take over' },
  ];
  test.each(full ? [...some, ...more] : some)(
    'of the $victim in step $step: it ends by itself, one copy runs, nothing is left',
    async ({ victim, step }) => {
      const from = lab.rows().find((row) => row.vserver === 'web1')?.host ?? '';
      const to = from === 'host1' ? 'host2' : 'host1';
      const dead = victim === 'source' ? from : to;
      await lab.begin(to, step);
      lab.vs(['lab', 'kill', dead, '--name', lab.name]);
      await sleep(1000);
      lab.vs(['lab', 'boot', dead, '--name', lab.name]);
      const saga = await lab.ended(150_000);
      expect(['done', 'undone'], JSON.stringify(saga, null, 1)).toContain(saga.result);
      const there = saga.result === 'done' ? to : from;
      await lab.settled(there);
      expect(lab.running('web1')).toEqual([there]);
      expect(lab.leftovers()).toEqual([]);
    },
  );
});
