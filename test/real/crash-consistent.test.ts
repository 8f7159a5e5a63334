import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { realLab } from './lab-kit.ts';

const hosts = ['host1', 'host2'] as const;
/** Generous, for test machines are slow. */
const ENDS_WITHIN = 90_000;
/** VS_TEST_FULL=1: every step of every victim. */
const full = process.env['VS_TEST_FULL'] === '1';

/**
 * What of web1 can still run on a host: processes of it that are neither frozen, nor ending, nor have a SIGKILL waiting
 * for them, seen twice in a row (one that was just thawed to its end has taken its signal). Perl, for it must be quick.
 */
const able = `
use Time::HiRes qw(sleep time); $| = 1;
sub text { open my $f, '<', $_[0] or return ''; local $/; my $t = <$f>; defined $t ? $t : '' }
sub able {
  my %able;
  for my $p (map { m{(\\d+)$} } glob '/proc/[0-9]*') {
    my $groups = text("/proc/$p/cgroup");
    next unless $groups =~ /lxc\\.payload\\.web1/;
    my $status = text("/proc/$p/status");
    next if $status eq '' || $status =~ /^State:\\s+[ZX]/m;
    next if grep { hex(substr $_, -3) & 0x100 } $status =~ /^(?:SigPnd|ShdPnd):\\s+(\\w+)/mg;
    next if text("/proc/$p/stat") =~ /\\) \\S (?:-?\\d+ ){5}(\\d+)/ && $1 & 4;
    next if $groups =~ m{^\\d+:freezer:(.*lxc\\.payload\\.web1)}m
      ? text("/sys/fs/cgroup/freezer$1/freezer.state") =~ /FROZEN/
      : $groups =~ m{^0::(.*lxc\\.payload\\.web1)}m && text("/sys/fs/cgroup$1/cgroup.events") =~ /^frozen 1/m;
    $able{$p} = 1;
  }
  return \\%able;
}
sub twice { my $one = able(); return 0 unless %$one; sleep 0.02; my $two = able(); return scalar grep { $two->{$_} } keys %$one }
if ($ARGV[0] eq 'once') { print "runs\\n" if twice(); exit }
for (my $ended = ''; !select($ended = "\\1", undef, undef, 0.03);) { my $t = time; printf "%.3f %.3f %s\\n", $t, time, $ARGV[0] if twice() }
`;

describe.each(['btrfs', 'dir'] as const)('a crash-consistent move on %s', (storage) => {
  const lab = realLab(storage === 'btrfs' ? 'ecb' : 'ecd');
  const here = (): string => lab.rows().find((row) => row.vserver === 'web1')?.host ?? '';
  const to = (from: string): string => (from === 'host1' ? 'host2' : 'host1');

  const canRun = (host: string) =>
    lab.vs(['lab', 'exec', '--name', lab.name, host, '--', 'perl', '-e', able, 'once']).stdout;

  /** Looks at the processes of both hosts until it is told to end. */
  function watch(from: string) {
    /** A look takes its time: one at the source counts from its begin, one at the target from its end. */
    const when = (line: string): number => {
      const [begin, end, host] = line.split(' ');
      return Number(host === from ? begin : end);
    };
    const seen: string[] = [];
    const children = hosts.map((host) => {
      const child = spawn(
        lab.cli,
        ['lab', 'exec', '--name', lab.name, host, '--', 'perl', '-e', able, host],
        {
          stdio: ['pipe', 'pipe', 'ignore'],
        },
      );
      child.stdout.on('data', (chunk: Buffer) => seen.push(...chunk.toString().trim().split('\n')));
      return child;
    });
    return {
      /** The hosts in the order in which it could run on them, each stretch once: two at a time would alternate. */
      async end(): Promise<string[]> {
        await sleep(300);
        for (const child of children) child.stdin.end(); // at which it ends
        const sorted = seen.filter(Boolean).toSorted((one, other) => when(one) - when(other));
        const order = sorted.map((line) => line.split(' ')[2] ?? '');
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
    const counts = `(while :; do i=$((i+1)); echo $i >> /count; sleep 0.01; done) > /dev/null 2>&1 < /dev/null &`;
    lab.vs(['exec', 'web1', '--', 'sh', '-c', counts]);
    const watching = watch(from);
    await sleep(300);
    const { stdout } = lab.vs(['move', 'web1', to(from), '--crash-consistent']);
    expect(stdout).toMatch(/freeze +frozen, and off the network/);
    expect(stdout).not.toMatch(/^ +stop /m);
    // not a moment on the old one after the first on the new one
    expect(await watching.end()).toEqual([from, to(from)]);
    await lab.settled(to(from));
    expect(lab.running('web1')).toEqual([to(from)]);
    const tree = (host: string, place: string) => lab.on(host, `cat /var/lib/vservers/${place}/rootfs/count`);
    expect(tree(to(from), 'web1')).toMatch(/^1\n2\n/);
    expect(tree(to(from), 'web1')).toBe(tree(from, '.trash/web1.*'));
    expect(lab.on(from, "pgrep -af 'lx[c] monitor' || true") + canRun(from)).toBe('');
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
    const probe = ['lab', 'probe', '10.60.10.5:80', '--name', lab.name, '--for', '3s', '--json'];
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
      const watching = watch(from);
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
    const pids = [lab.pidOf('master', 'master'), lab.pidOf(from, 'agent')];
    await lab.begin(to(from), 'take over', '--crash-consistent');
    for (const pid of pids) process.kill(pid, 'SIGSTOP'); // nobody else ends it meanwhile
    try {
      lab.on(from, 'lxc-unfreeze -P /var/lib/vservers -n web1', null);
      expect(canRun(from)).toBe('');
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    expect((await lab.ended(ENDS_WITHIN)).result).toBe('done');
    await lab.settled(to(from));
    expect(lab.running('web1')).toEqual([to(from)]);
  });
});
