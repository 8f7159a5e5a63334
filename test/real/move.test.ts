import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTree, oracleOf } from './tree.ts';

const vs = new URL('../../vs', import.meta.url).pathname;

const oracle = oracleOf('/var/lib/vservers/web1/rootfs');

describe.each(['btrfs', 'dir'] as const)('a move on %s', (storage) => {
  const lab = `mv${storage}`;
  const environment: NodeJS.ProcessEnv = { ...process.env };
  function call(args: string[], expected = 0): { stdout: string; stderr: string } {
    const result = spawnSync(vs, args, {
      encoding: 'utf8',
      env: environment,
      timeout: 120_000,
      maxBuffer: 64e6,
    });
    expect(result.status, `vs ${args.join(' ')}: ${result.stderr}`).toBe(expected);
    return result;
  }
  const on = (host: string, script: string) =>
    call(['lab', 'exec', '--name', lab, host, '--', 'bash', '-c', script]).stdout;
  const rows = () =>
    JSON.parse(call(['scan', '--json']).stdout) as {
      host: string;
      vserver: string;
      state: string;
      epoch: number;
    }[];

  beforeAll(() => {
    call(['lab', 'down', '--name', lab]);
    call(['lab', 'up', '--name', lab, '--storage', storage]);
    for (const match of call(['lab', 'env', '--name', lab]).stdout.matchAll(/^export (\w+)=(.*)$/gm))
      environment[match[1] ?? ''] = match[2];
    call(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start']);
  });
  afterAll(() => void call(['lab', 'down', '--name', lab]));

  test('keeps every kind of file, runs once, answers, and leaves nothing behind', () => {
    call(['stop', 'web1']);
    on('host1', makeTree);
    const before = on('host1', oracle);
    call(['move', 'web1', 'host2']); // a stopped one is moved stopped, so that nothing changes
    expect(on('host2', oracle)).toBe(before);
    call(['move', 'web1', 'host1', '--transport', 'rsyncd-tls']); // which both storages can
    expect(on('host1', oracle)).toBe(before);
    call(['move', 'web1', 'host2', '--transport', 'rsyncd-tls']);
    expect(on('host2', oracle)).toBe(before);
    call(['start', 'web1']);
    call(['move', 'web1', 'host1']);
    expect(rows()).toMatchObject([{ host: 'host1', vserver: 'web1', state: 'running', epoch: 5 }]);
    expect(call(['exec', 'web1', '--', 'cat', '/kinds/hard']).stdout).toBe('one\n');
    const probe = JSON.parse(
      call(['lab', 'probe', '10.60.10.5:80', '--name', lab, '--for', '5s', '--json']).stdout,
    ) as { answered: number };
    expect(probe.answered).toBeGreaterThan(50);
    for (const host of ['host1', 'host2']) {
      expect(
        on(
          host,
          'find /var/lib/vservers/.staging /var/lib/vservers/.snapshots -mindepth 2 2>/dev/null; ls -A /run/vs | grep transfer || true',
        ),
      ).toBe('');
    }
    expect(
      on(
        'host2',
        'ls /var/lib/vservers | grep -v lost+found || true; grep /run/vs/web1 /proc/self/mountinfo || true; ls /run/vs 2>/dev/null | grep web1 || true',
      ),
    ).toBe('');
  });

  test.each(['rsyncd-tls', ...(storage === 'btrfs' ? ['btrfs-send'] : [])])(
    'by %s takes along what changed in a copy that was running, also behind an old time and the same size',
    (transport) => {
      const from = rows().find((row) => row.vserver === 'web1')?.host ?? '';
      const to = from === 'host1' ? 'host2' : 'host1';
      const restless = `printf 00000000 > /quiet; touch -t 200102030405 /old; touch -r /old /quiet
        (while :; do i=$((i+1)); printf %08d $i | dd of=/quiet conv=notrunc 2>/dev/null; touch -r /old /quiet; done) > /dev/null 2>&1 < /dev/null &`;
      call(['exec', 'web1', '--', 'sh', '-c', restless]);
      call(['move', 'web1', to, '--transport', transport]);
      const seen = on(to, 'cat /var/lib/vservers/web1/rootfs/quiet');
      expect(Number(seen)).toBeGreaterThan(0);
      expect(seen).toBe(on(from, 'cat /var/lib/vservers/.trash/web1.*/rootfs/quiet'));
    },
  );

  test('refusals change nothing and have the documented exit code', () => {
    const before = rows();
    expect(call(['move', 'web1', 'nohost'], 1).stderr).toMatch(/there is no host nohost/);
    expect(call(['move', 'nope', 'host2'], 1).stderr).toMatch(/there is no vserver nope/);
    const here = before[0]?.host ?? '';
    expect(call(['move', 'web1', here], 1).stderr).toContain(`is on ${here} already`);
    call(['move', '../web1', 'host2'], 2);
    expect(call(['create', 'web2', '192.0.2.9', 'busybox'], 1).stderr).toMatch(/is in no network/);
    expect(call(['create', 'web2', '10.60.10.5', 'busybox'], 1).stderr).toMatch(/belongs to web1/);
    expect(call(['create', 'web2', '10.60.10.9', 'nosuch'], 1).stderr).toMatch(/there is no template nosuch/);
    expect(call(['remove', 'web1', '--yes'], 1).stderr).toMatch(/stop it first/);
    expect(rows()).toEqual(before);
  });
});
