import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';
import { makeTree, oracleOf } from './tree.ts';

/** As that of a copy; but a file of a repository may have further names in other backups, so only those of this tree count. */
const oracle = (rootfs: string): string => {
  const lines = oracleOf(rootfs).replace('%T@ %l %n', '%T@ %l').split('\n');
  const names = `find . -not -type d -printf '%i %P\\n' | LC_ALL=C sort -k2 | awk '{ i[NR] = $1; p[NR] = $0; c[$1]++ }
END { for (k = 1; k <= NR; k++) if (c[i[k]] > 1) { if (!(i[k] in n)) n[i[k]] = ++g; sub(/^[0-9]+ /, n[i[k]] " ", p[k]); print p[k] } }'`;
  return lines.map((line) => (line.includes('-links +1') ? names : line)).join('\n');
};
const live = oracle('/var/lib/vservers/web1/rootfs');

describe.each(['btrfs', 'dir'] as const)('backups, hosts with %s', (storage) => {
  const lab = realLab(`bk${storage}`);
  const state = `/var/lib/vslab-${lab.name}/master/state`;
  const root = `${state}/backups`;
  const list = () => JSON.parse(lab.vs(['backup', 'list', '--json']).stdout) as BackupRecord[];
  const run = (...flags: string[]) =>
    JSON.parse(lab.vs(['backup', 'run', 'web1', ...flags, '--json']).stdout) as SagaState;
  const partials = () => (existsSync(`${root}/.partial`) ? readdirSync(`${root}/.partial`) : []);
  const oracleIn = (tree: string) =>
    lab.on('master', oracle(`${tree.replace(state, '/var/lib/vs-tools')}/rootfs`));
  const treeOf = (one: BackupRecord | undefined) => `${root}/${one?.vserver}/${one?.id}/tree`;

  /** Begins a backup and answers its id once a step of it has begun. */
  async function begin(step: string, ...flags: string[]): Promise<string> {
    const begun = lab.vs(['backup', 'run', 'web1', ...flags, '--no-follow', '--json']).stdout;
    const { id } = JSON.parse(begun) as SagaState;
    for (const end = Date.now() + 120_000; Date.now() < end;) {
      const text = readFileSync(`${state}/sagas/${id}.jsonl`, 'utf8');
      if (text.includes(`"kind":"started","step":"${step}"`)) return id;
      await sleep(5);
    }
    throw new Error(`backup ${id} did not come to step ${step}`);
  }
  /** The old process ends by SIGKILL; the next one answers. */
  async function killed(node: string, process_: string): Promise<void> {
    process.kill(lab.pidOf(node, process_), 'SIGKILL');
    for (let tries = 0; tries < 150; tries++) {
      await sleep(200);
      if (lab.vs(['saga', 'list'], null).code === 0 && lab.vs(['show', 'web1'], null).code === 0) return;
    }
    throw new Error(`${node} does not answer any more`);
  }

  beforeAll(async () => {
    lab.up('--storage', storage);
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']);
    lab.on('host1', makeTree);
    await sleep(3000); // what is written in the two seconds before a backup is sent again by the next one
  });
  afterAll(() => lab.down());

  test('hot: the tree is that of the vserver, with every kind of file, while it runs', () => {
    const done = run();
    expect(done).toMatchObject({ kind: 'backup', result: 'done' });
    const [first] = list();
    expect(done.message).toContain(String(first?.id));
    expect(first).toMatchObject({
      vserver: 'web1',
      repository: 'main',
      host: 'host1',
      kind: storage === 'btrfs' ? 'snapshot' : 'live',
      running: true,
      enabled: true,
      address: '10.60.10.5',
      protected: false,
    });
    expect(lab.running('web1')).toEqual(['host1']);
    expect(lab.on('host1', live)).toBe(oracleIn(treeOf(first)));
    expect(existsSync(`${treeOf(first)}/vserver.json`)).toBe(true);
    expect([partials(), lab.leftovers()]).toEqual([[], []]);
    // the manifest is for other tools, too
    lab.on(
      'master',
      `cd /var/lib/vs-tools/backups/web1/${first?.id}/tree && sed -n 's/^f [^ ]* [^ ]* [^ ]* [^ ]* \\([0-9a-f]*\\) /\\1  /p' ../manifest | grep -v odd | sha256sum --check --quiet`,
    );
  });

  test('the next one sends little, shares what is the same, and changes nothing in the one before', () => {
    const [first] = list();
    const before = oracleIn(treeOf(first));
    const same = run();
    expect(same.bytes).toBeLessThan(20_000);
    lab.on(
      'host1',
      `cd /var/lib/vservers/web1/rootfs/kinds; chmod 600 file; setfattr -n user.note -v other capable
rm hard; echo two > new; mv dir moved; touch -d 2002-02-02 null`,
    );
    const changed = run();
    const now = lab.on('host1', live);
    const [last] = list();
    expect(oracleIn(treeOf(last))).toBe(now);
    expect(changed.bytes).toBeLessThan(3_000_000);
    expect(last?.basis).toBeDefined();
    expect(oracleIn(treeOf(first))).toBe(before);
    const files = ['bin/busybox', 'kinds/disk'].map((file) => `/${file}`);
    for (const file of files)
      expect(
        lab.on('master', `stat -c %i /var/lib/vs-tools/backups/web1/*/tree/rootfs${file} | sort -u | wc -l`),
      ).toBe('1\n');
    for (const { id } of list()) lab.vs(['backup', 'verify', 'web1', id]);
  });

  test('without a marker all is compared, and what changed only in its mode is no change in older ones', async () => {
    const [before] = list();
    const was = lab.on(
      'master',
      `stat -c '%a %s' /var/lib/vs-tools/backups/web1/${before?.id}/tree/rootfs/kinds/file`,
    );
    lab.on(
      'host1',
      'rm -f /var/lib/vs-tools/backup-marks/*; chmod 640 /var/lib/vservers/web1/rootfs/kinds/file',
    );
    const done = run();
    expect(JSON.stringify(done.steps)).toContain('all files were compared');
    const [last] = list();
    expect(lab.on('host1', live)).toBe(oracleIn(treeOf(last)));
    expect(
      lab.on('master', `stat -c '%a %s' /var/lib/vs-tools/backups/web1/${before?.id}/tree/rootfs/kinds/file`),
    ).toBe(was);
    lab.vs(['backup', 'verify', 'web1', String(before?.id)]);
    expect([partials(), lab.leftovers()]).toEqual([[], []]);
  });

  test('cold: stopped for it and started again; one that a person has stopped stays so', async () => {
    const done = run('--mode', 'cold');
    expect(done).toMatchObject({ result: 'done' });
    expect(done.downtimeMs).toBeGreaterThan(0);
    expect(list()[0]).toMatchObject({
      mode: 'cold',
      kind: storage === 'btrfs' ? 'snapshot' : 'stopped',
      running: true,
    });
    await lab.settled('host1');
    lab.vs(['stop', 'web1']);
    run('--mode', 'cold');
    expect(list()[0]).toMatchObject({ running: false });
    expect(lab.running('web1')).toEqual([]);
    lab.vs(['start', 'web1']);
  });

  // `dir` has no moment that they could stand around
  test.each(storage === 'btrfs' ? ['a hot one'] : [])(
    'its scripts stand around the snapshot of %s; a failed first one is told',
    () => {
      const rootfs = '/var/lib/vservers/web1/rootfs';
      const script = (which: string, lines: string) =>
        lab.on(
          'host1',
          `mkdir -p ${rootfs}/etc/vs-tools; cd ${rootfs}/etc/vs-tools; printf '#!/bin/sh\n${lines}\n' > snapshot-${which}; chmod 755 snapshot-${which}`,
        );
      script('pre', 'echo the database is busy; exit 3');
      const count = list().length;
      const failed = lab.vs(['backup', 'run', 'web1'], 1);
      expect(`${failed.stdout}${failed.stderr}`).toContain('the database is busy');
      expect([list().length, lab.running('web1'), partials().length]).toEqual([count, ['host1'], 1]);
      script('pre', 'touch /flushed');
      script('post', 'rm /flushed');
      const done = run();
      expect(JSON.stringify(done.steps)).toMatch(/it stood still for \d+ ms/);
      expect(existsSync(`${treeOf(list()[0])}/rootfs/flushed`)).toBe(true);
      expect(
        lab.on('host1', `cat /sys/fs/cgroup/freezer/lxc*/web1/freezer.state 2>/dev/null; ls ${rootfs}`),
      ).not.toMatch(/flushed|FROZEN/);
      lab.on('host1', `rm -r ${rootfs}/etc/vs-tools`);
    },
  );

  test('a SIGKILL of the master and of the agent in the copy, and of a cold one while it is stopped', async () => {
    lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=60 status=none');
    const count = list().length;
    const id = await begin('copy');
    await killed('master', 'master');
    expect(await lab.ended(90_000)).toMatchObject({ id, result: 'done' });
    expect(list()).toHaveLength(count + 1);
    lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=61 status=none');
    await begin('copy');
    await killed('host1', 'agent');
    const ended = await lab.ended(90_000);
    expect(list()).toHaveLength(count + (ended.result === 'done' ? 2 : 1)); // undone is no backup
    await begin('stop', '--mode', 'cold');
    await killed('master', 'master');
    expect((await lab.ended(90_000)).result).toMatch(/^(done|undone)$/);
    await lab.settled('host1');
    expect(lab.running('web1')).toEqual(['host1']);
    for (const one of list().slice(0, 2)) lab.vs(['backup', 'verify', 'web1', one.id]);
    expect(run()).toMatchObject({ result: 'done' });
    expect([partials(), lab.leftovers()]).toEqual([[], []]);
  });

  test('an aborted one is no backup, and the next one goes on from what it has brought', async () => {
    lab.on('host1', 'dd if=/dev/urandom of=/var/lib/vservers/web1/rootfs/ballast bs=1M count=80 status=none');
    const before = list();
    const id = await begin('copy');
    lab.vs(['saga', 'abort', id], null);
    const { result } = await lab.ended(60_000);
    expect(list()).toHaveLength(before.length + (result === 'done' ? 1 : 0));
    expect(run()).toMatchObject({ result: 'done' });
    const [last] = list();
    expect(oracleIn(treeOf(last))).toBe(lab.on('host1', live));
    expect(partials()).toEqual([]);
  });

  test('a flipped byte and a missing file are found and named; a damaged record hides no other', () => {
    const [last, older] = list();
    const tree = `/var/lib/vs-tools/backups/web1/${last?.id}/tree/rootfs`;
    lab.on(
      'master',
      `printf X | dd of=${tree}/ballast bs=1 seek=4096 conv=notrunc status=none; rm ${tree}/kinds/fifo`,
    );
    const found = lab.vs(['backup', 'verify', 'web1', String(last?.id)], 1).stdout;
    expect(found).toMatch(/rootfs\/ballast has another content/);
    expect(found).toMatch(/rootfs\/kinds\/fifo is gone/);
    expect(list()[0]?.faults?.length).toBeGreaterThanOrEqual(2);
    lab.on('master', `echo '{' > /var/lib/vs-tools/backups/web1/${older?.id}/backup.json`);
    const said = lab.vs(['backup', 'list']);
    expect(said.stderr).toMatch(/backup.json is not valid JSON/);
    expect(said.stdout).toContain(String(last?.id));
    expect(said.stdout).not.toContain(String(older?.id));
    lab.vs(['backup', 'protect', 'web1', String(last?.id)]);
    expect(lab.vs(['backup', 'remove', 'web1', String(last?.id), '--yes'], 1).stderr).toMatch(/is protected/);
    lab.vs(['backup', 'unprotect', 'web1', String(last?.id)]);
    lab.vs(['backup', 'remove', 'web1', String(last?.id), '--yes']);
    expect(existsSync(`${root}/web1/${last?.id}`)).toBe(false);
  });

  test('restored: over the one there, beside it, after it is gone, and single files', async () => {
    run();
    const [good] = list();
    const want = oracleIn(treeOf(good));
    lab.vs(['exec', 'web1', '--', 'rm', '-r', '/kinds']);
    expect(lab.vs(['backup', 'restore', 'web1'], 1).stderr).toMatch(/web1 is on host1; restore beside it/);
    lab.vs(['backup', 'restore', 'web1', '--over', '--yes']);
    await lab.settled('host1');
    expect(lab.rows()[0]).toMatchObject({ epoch: 2, enabled: true });
    expect(lab.vs(['trash', 'list']).stdout).toContain('replaced by backup');
    const other = lab.vs([
      'backup',
      'restore',
      'web1',
      '--as',
      'web2',
      '--address',
      '10.60.10.6',
      '--host',
      'host2',
      '--start',
    ]);
    expect(other.stdout).toMatch(/web2.* runs on host2/);
    expect(lab.running('web2')).toEqual(['host2']);
    lab.vs(['stop', 'web2', 'web1']);
    lab.vs(['remove', 'web2', '--yes']);
    lab.vs(['remove', 'web1', '--yes']);
    expect(lab.rows()).toEqual([]);
    lab.vs(['backup', 'restore', 'web1', '--id', String(good?.id), '--host', 'host2', '--no-start']);
    expect(lab.rows()).toMatchObject([
      { vserver: 'web1', host: 'host2', state: 'stopped', enabled: true, epoch: 3 },
    ]);
    expect(lab.on('host2', live)).toBe(want);
    lab.vs(['start', 'web1']);
    const files = ['backup', 'restore', 'web1', '--path', '/kinds', '--to', '/tmp/of-web1'];
    expect(lab.vs(files, 1).stderr).toMatch(/run this there, as root/);
    const settings = Object.entries(lab.environment).filter(([key]) => key.startsWith('VS_'));
    const there = `${settings.map(([key, value]) => `${key}=${value}`).join(' ')} ${lab.cli} ${files.join(' ')}`;
    lab.on('master', `rm -rf /tmp/of-web1; ${there}`);
    expect(lab.on('master', 'stat -c "%a %u:%g" /tmp/of-web1/kinds/file')).toMatch(/^6.0 1000:2000/);
    const again = `${there} 2>&1; rm -rf /tmp/of-web1`;
    expect(lab.on('master', again)).toMatch(/is there already: nothing was overwritten/);
    expect(lab.leftovers()).toEqual([]);
  });

  test('a repository on btrfs: each backup is a snapshot of the one before, which stays as it was', () => {
    lab.on(
      'master',
      `cd /var/lib/vs-tools; truncate -s 2G pool.img; mkfs.btrfs -q pool.img 2>/dev/null; mkdir -p pool; mount -o loop pool.img pool
printf 'pool:tree:/var/lib/vs-tools/pool:mount\\n' > /etc/vs-tools/repositories.conf`,
    );
    run('--repository', 'pool');
    lab.vs(['exec', 'web1', '--', 'sh', '-c', 'echo new > /kinds/new; chmod 600 /kinds/odd*']);
    expect(run('--repository', 'pool').bytes).toBeLessThan(100_000);
    const ids = list().filter((one) => one.repository === 'pool');
    expect(ids).toHaveLength(2);
    for (const { id } of ids) lab.vs(['backup', 'verify', 'web1', id, '--repository', 'pool']);
    for (const { id } of ids) lab.vs(['backup', 'remove', 'web1', id, '--repository', 'pool', '--yes']);
    const left = 'btrfs subvolume list pool; ls -A pool/.partial; umount pool; rm -r pool pool.img';
    expect(lab.on('master', `cd /var/lib/vs-tools; ${left}`)).toBe('');
  });

  test('a repository that fills up: refused with that reason, and nothing is left in it', () => {
    lab.on(
      'master',
      `cd /var/lib/vs-tools; truncate -s 24M small.img; mkfs.ext4 -q small.img; mkdir -p small
printf 'small:tree:/var/lib/vs-tools/small:mount\\nbad:tree:./nowhere\\n' > /etc/vs-tools/repositories.conf`,
    );
    expect(lab.vs(['backup', 'list'], 2).stderr).toMatch(/repositories\.conf:2:10: /);
    lab.on('master', "sed -i '/^bad/d' /etc/vs-tools/repositories.conf");
    expect(lab.vs(['backup', 'run', 'web1', '--repository', 'small'], 1).stderr).toMatch(
      /nothing is mounted at/,
    );
    lab.on('master', 'cd /var/lib/vs-tools; mount -o loop small.img small');
    const full = lab.vs(['backup', 'run', 'web1', '--repository', 'small'], 1);
    expect(full.stdout + full.stderr).toMatch(/MB are needed|no space left/);
    expect(
      lab.on('master', 'find /var/lib/vs-tools/small -mindepth 2 | head; umount /var/lib/vs-tools/small'),
    ).toBe('');
  });
});
