import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realLab } from './lab-kit.ts';

const ENDS_WITHIN = 60_000;
/** VS_TEST_FULL=1: every step on both storages, 15 minutes. */
const full = process.env['VS_TEST_FULL'] === '1';
const all = ['lock', 'stage', 'seed', 'prepare', 'stop', 'final', 'verify', 'adopt'].concat([
  'give up',
  'take over',
  'start',
  'answer',
  'clean up',
]);
const some = { btrfs: ['seed', 'final', 'give up', 'start'], dir: ['final'] };
/** The orchestrator, the agent that gives and the agent that takes. */
const victims = ['master', 'source', 'target'] as const;

describe.each([
  { storage: 'btrfs', at: full ? all : some.btrfs },
  { storage: 'dir', at: full ? all : some.dir },
])('a SIGKILL during a move on $storage', ({ storage, at }) => {
  const lab = realLab(`cr${storage}`);

  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
    lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=60 status=none');
  });
  afterAll(() => lab.down());

  test.each(at.flatMap((step) => victims.map((victim) => ({ step, victim }))))(
    'of the $victim in step $step: the saga ends by itself, one copy runs, nothing is left',
    async ({ step, victim }) => {
      const from = lab.rows().find((row) => row.vserver === 'web1')?.host ?? '';
      const to = from === 'host1' ? 'host2' : 'host1';
      const node = victim === 'master' ? 'master' : victim === 'source' ? from : to;
      const pid = lab.pidOf(node, node === 'master' ? 'master' : 'agent');
      await lab.begin(to, step);
      process.kill(pid, 'SIGKILL');
      const saga = await lab.ended(ENDS_WITHIN);
      expect(['done', 'undone'], JSON.stringify(saga, null, 1)).toContain(saga.result);
      const there = saga.result === 'done' ? to : from;
      await lab.settled(there);
      expect(lab.running('web1')).toEqual([there]);
      expect(lab.leftovers()).toEqual([]);
    },
  );
});
