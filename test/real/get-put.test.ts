import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CopyInfo } from '../../shared/contract/snapshot.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';
import { makeTree, oracleOf } from './tree.ts';

const oracle = oracleOf('/var/lib/vservers/web1/rootfs');
const ways = { btrfs: 'from a snapshot, rsyncd over TLS', dir: 'live, in two passes, rsyncd over TLS' };

describe.each(['btrfs', 'dir'] as const)('copies on the master, hosts with %s', (storage) => {
  const lab = realLab(`gp${storage}`);
  const copyDir = `/var/lib/vslab-${lab.name}/master/state/copies`;
  const copies = () => JSON.parse(lab.vs(['copies', 'list', '--json']).stdout) as CopyInfo[];
  const inMaster = (script: string) => lab.on('master', `cd /var/lib/vs-tools/copies; ${script}`);
  const leftOnMaster = () =>
    inMaster('find .staging .snapshots -mindepth 1 2>/dev/null | grep -v "^.snapshots/[^/]*$"; true');
  /** The old master's process ends; the next one answers. */
  async function restartMaster(pid = lab.pidOf('master', 'master')): Promise<void> {
    process.kill(pid, 'SIGKILL');
    await lab.masterIsBack();
  }

  beforeAll(() => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']);
    lab.on('host1', makeTree);
  });
  afterAll(() => lab.down());

  test('a running one is copied as it runs, and says how; the copy is disabled, and others may not ask for it', () => {
    const { stdout } = lab.vs(['get', 'web1']);
    expect(stdout).toContain(ways[storage]);
    expect(copies()).toMatchObject([
      {
        name: 'web1',
        host: 'host1',
        epoch: 1,
        kind: storage === 'btrfs' ? 'snapshot' : 'live',
        running: true,
        enabled: true,
        address: '10.60.10.5',
      },
    ]);
    const config = JSON.parse(readFileSync(`${copyDir}/web1/vserver.json`, 'utf8')) as { enabled: boolean };
    expect(config.enabled).toBe(false);
    expect(existsSync(`${copyDir}/web1/rootfs/kinds/capable`)).toBe(true);
    expect(lab.running('web1')).toEqual(['host1']);
    expect(inMaster('stat -c %a . .state/seal.pem')).toBe('700\n600\n');
    expect([leftOnMaster(), lab.leftovers()]).toEqual(['', []]);
    const asked = lab.vs(['call', 'master', 'snapshot.trash', '{"name":"web1","saga":"x"}'], 1);
    expect(asked.stderr).toContain('is not for others here');
    expect(copies()).toHaveLength(1);
  });

  test('get, remove, put, start: the tree is the same, with a higher epoch', () => {
    lab.vs(['stop', 'web1']);
    const before = lab.on('host1', oracle);
    lab.vs(['get', 'web1']);
    expect(copies()).toMatchObject([{ name: 'web1', running: false }]);
    expect(inMaster('ls .trash | grep -c json')).toBe('1\n'); // the copy before
    expect(lab.vs(['put', 'web1', 'host2'], 1).stderr).toMatch(/web1 is on host1 already/);
    lab.vs(['remove', 'web1', '--yes']);
    expect(lab.vs(['put', 'web1', 'nohost'], 1).stderr).toMatch(/no host nohost/);
    const planned = lab.vs(['put', 'web1', 'host2', '--dry-run']).stdout;
    expect(planned).toContain('Nothing was changed');
    expect(lab.rows()).toEqual([]);
    lab.vs(['put', 'web1', 'host2']);
    expect(lab.rows()).toMatchObject([
      { host: 'host2', vserver: 'web1', state: 'stopped', enabled: false, epoch: 2 },
    ]);
    expect(lab.on('host2', oracle)).toBe(before);
    lab.vs(['start', 'web1']);
    expect(lab.vs(['exec', 'web1', '--', 'cat', '/kinds/hard']).stdout).toBe('one\n');
    expect(copies()).toHaveLength(1);
    expect([leftOnMaster(), lab.leftovers()]).toEqual(['', []]);
  });

  test('a SIGKILL of the master in the copy: it goes on, the copy before stays until then', async () => {
    const ballast = '/var/lib/vservers/web1/rootfs/ballast';
    lab.on('host2', `dd if=/dev/urandom of=${ballast} bs=1M count=400 status=none`);
    const [former] = copies();
    const pid = lab.pidOf('master', 'master');
    const { id } = JSON.parse(lab.vs(['get', 'web1', '--no-follow', '--json']).stdout) as SagaState;
    const journal = `/var/lib/vslab-${lab.name}/master/state/sagas/${id}.jsonl`;
    for (const end = Date.now() + 60_000; ; await sleep(2)) {
      if (readFileSync(journal, 'utf8').includes('"kind":"started","step":"copy"')) break;
      if (Date.now() > end) throw new Error(`get ${id} did not come to the copy`);
    }
    expect(readFileSync(`${copyDir}/web1/copy.json`, 'utf8')).toContain(String(former?.taken));
    await restartMaster(pid);
    expect(await lab.ended(180_000)).toMatchObject({ id, result: 'done' });
    expect(copies()).toMatchObject([{ name: 'web1', host: 'host2', epoch: 2, running: true }]);
    expect([leftOnMaster(), lab.leftovers()]).toEqual(['', []]);
    lab.on('host2', `rm ${ballast}`);
  });

  // oxlint-disable-next-line vitest/no-conditional-tests -- with dir there is nothing that could be skipped
  if (storage === 'btrfs')
    test('a master with btrfs takes and gives copies by btrfs-send', async () => {
      lab.vs(['copies', 'remove', 'web1', '--yes']);
      expect(copies()).toEqual([]);
      lab.on(
        'master',
        `cd /var/lib/vs-tools; truncate -s 2G disk.img; mkfs.btrfs -q disk.img
rm -rf copies/* copies/.[a-z]*; mount -o loop disk.img copies`,
      );
      await restartMaster();
      expect(lab.vs(['get', 'web1']).stdout).toContain('from a snapshot, btrfs-send over TLS');
      lab.vs(['stop', 'web1']);
      lab.vs(['get', 'web1']);
      const before = lab.on('host2', oracle);
      lab.vs(['remove', 'web1', '--yes']);
      expect(lab.vs(['put', 'web1', 'host1']).stdout).toContain('btrfs-send over TLS');
      expect(lab.on('host1', oracle)).toBe(before);
      lab.vs(['start', 'web1']);
      expect(lab.running('web1')).toEqual(['host1']);
      expect([leftOnMaster(), lab.leftovers()]).toEqual(['', []]);
    });

  test('what is refused changes nothing', () => {
    const rows = lab.rows();
    expect(lab.vs(['get', 'nope'], 1).stderr).toMatch(/no vserver nope/);
    expect(lab.vs(['get', 'web1', '--host', 'host9'], 1).stderr).toMatch(/no host host9/);
    expect(lab.vs(['put', 'nope', 'host1'], 1).stderr).toMatch(/master has no copy of nope/);
    expect(lab.vs(['copies', 'remove', 'nope', '--yes'], 1).stderr).toMatch(/master has no copy of nope/);
    lab.vs(['put', '../web1', 'host1'], 2);
    lab.vs(['copies', 'remove', 'web1'], 2); // it asks, and there is no terminal
    expect(lab.rows()).toEqual(rows);
  });
});
