import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { realLab } from './lab-kit.ts';

const hosts = ['host1', 'host2'] as const;
/** Generous, for test machines are slow. */
const ENDS_WITHIN = 90_000;
/** VS_TEST_FULL=1: every step of every victim. */
const full = process.env['VS_TEST_FULL'] === '1';

/** What of web1 can still run on a host: processes of it that neither are frozen nor have a SIGKILL waiting for them. */
const able = `for p in $(grep -l 'lxc.payload.web1' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3); do
  s=$(awk '/^State:/{print $2}' /proc/$p/status 2>/dev/null); case $s in ''|Z|X) continue;; esac
  k=$(awk '/^(ShdPnd|SigPnd):/{print $2}' /proc/$p/status 2>/dev/null | grep -c '[13579bdf]..$')
  c=$(awk -F: '$2=="freezer"{print $3} ' /proc/$p/cgroup 2>/dev/null); c=/sys/fs/cgroup/freezer\${c%%lxc.payload.web1*}lxc.payload.web1/freezer.state
  f=$(cat $c 2>/dev/null); [ "$k" -gt 0 ] || [ "$f" = FROZEN ] || { echo runs; exit; }; done`;

describe.each(['btrfs', 'dir'] as const)('a crash-consistent move on %s', (storage) => {
  const lab = realLab(storage === 'btrfs' ? 'ecb' : 'ecd');
  const here = (): string => lab.rows().find((row) => row.vserver === 'web1')?.host ?? '';
  const to = (from: string): string => (from === 'host1' ? 'host2' : 'host1');

  /** Looks from two sides until it is told to end: what can run by the processes of each host, and who answers ARP. */
  function watch() {
    const seen: string[] = [];
    const children = hosts.map((host) => {
      const script = `while :; do r=$(${able}); [ -z "$r" ] || echo "$(date +%s%N) ${host}"; sleep 0.05; done`;
      const child = spawn(lab.cli, ['lab', 'exec', '--name', lab.name, host, '--', 'bash', '-c', script], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      child.stdout.on('data', (chunk: Buffer) => seen.push(...chunk.toString().trim().split('\n')));
      return child;
    });
    return {
      /** The hosts in the order in which it could run on them, each stretch once: two at a time would alternate. */
      async end(): Promise<string[]> {
        await sleep(300);
        for (const child of children) child.kill('SIGKILL');
        const sorted = seen.filter(Boolean).toSorted();
        const order = sorted.map((line) => line.split(' ')[1] ?? '');
        return order.filter((host, index) => host !== order[index - 1]);
      },
    };
  }

  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => lab.down());

  test('the tree is as at the freeze, one copy can run at any time, the old one is gone', async () => {
    const from = here();
    const counts = `(while :; do i=$((i+1)); echo $i > /count; done) > /dev/null 2>&1 < /dev/null &`;
    lab.vs(['exec', 'web1', '--', 'sh', '-c', counts]);
    const watching = watch();
    await sleep(300);
    const { stdout } = lab.vs(['move', 'web1', to(from), '--crash-consistent']);
    expect(stdout).toMatch(/freeze +frozen, and off the network/);
    expect(stdout).not.toMatch(/^ +stop /m);
    // not a moment on the old one after the first on the new one
    expect(await watching.end()).toEqual([from, to(from)]);
    await lab.settled(to(from));
    expect(lab.running('web1')).toEqual([to(from)]);
    const tree = (host: string, place: string) => lab.on(host, `cat /var/lib/vservers/${place}/rootfs/count`);
    expect(Number(tree(to(from), 'web1'))).toBeGreaterThan(0);
    expect(tree(to(from), 'web1')).toBe(tree(from, '.trash/web1.*'));
    expect(lab.on(from, `${able}; pgrep -af 'lx[c] monitor' || true`)).toBe('');
    expect(lab.leftovers()).toEqual([]);
  });

  test('an undo thaws it: it goes on where it was, and answers', async () => {
    const from = here();
    lab.vs(['exec', 'web1', '--', 'sh', '-c', 'sleep 7777 > /dev/null 2>&1 < /dev/null &']);
    const before = lab.on(from, 'pgrep -f "sleep 7777" | head -1');
    // what nobody can write to makes the step after the freeze fail: adopt finds another vserver in its place
    lab.on(to(from), 'mkdir -p /var/lib/vservers/web1/rootfs');
    const moved = lab.vs(['move', 'web1', to(from), '--crash-consistent'], 1);
    expect(moved.stderr).toMatch(/stays on .*, running \(it was down for/);
    lab.on(to(from), 'rm -rf /var/lib/vservers/web1');
    await lab.settled(from);
    expect(lab.on(from, 'pgrep -f "sleep 7777" | head -1')).toBe(before);
    const probe = ['lab', 'probe', '10.60.10.5:80', '--name', lab.name, '--for', '1s', '--json'];
    expect((JSON.parse(lab.vs(probe).stdout) as { answered: number }).answered).toBeGreaterThan(20);
    expect(lab.leftovers()).toEqual([]);
  });

  const victims = ['master', 'source', 'target'] as const;
  const steps = ['freeze', 'final', 'adopt', 'give up', 'take over', 'start', 'clean up'];
  const sample = [
    { step: 'freeze', victim: 'source' },
    { step: 'final', victim: 'master' },
    { step: 'give up', victim: 'source' },
    { step: 'start', victim: 'target' },
  ] as const;
  const all = steps.flatMap((step) => victims.map((victim) => ({ step, victim })));
  test.each(full ? all : storage === 'btrfs' ? sample : sample.slice(2, 3))(
    'a SIGKILL of the $victim in step $step: one copy can run at any time, it ends by itself',
    async ({ step, victim }) => {
      const from = here();
      const node = victim === 'master' ? 'master' : victim === 'source' ? from : to(from);
      const pid = lab.pidOf(node, node === 'master' ? 'master' : 'agent');
      const watching = watch();
      await sleep(300);
      await lab.begin(to(from), step, '--crash-consistent');
      process.kill(pid, 'SIGKILL');
      const saga = await lab.ended(ENDS_WITHIN);
      expect(['done', 'undone'], JSON.stringify(saga, null, 1)).toContain(saga.result);
      const there = saga.result === 'done' ? to(from) : from;
      await lab.settled(there);
      expect(await watching.end()).toEqual(saga.result === 'done' ? [from, to(from)] : [from]);
      expect(lab.running('web1')).toEqual([there]);
      expect(lab.leftovers()).toEqual([]);
    },
  );

  test('a person cannot thaw what was given up', async () => {
    const from = here();
    await lab.begin(to(from), 'take over', '--crash-consistent');
    lab.on(from, 'lxc-unfreeze -P /var/lib/vservers -n web1', null);
    expect(lab.on(from, able)).toBe('');
    expect((await lab.ended(ENDS_WITHIN)).result).toBe('done');
    await lab.settled(to(from));
    expect(lab.running('web1')).toEqual([to(from)]);
  });
});
