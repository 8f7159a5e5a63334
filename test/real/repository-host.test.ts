import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { RepositoryInfo } from '../../shared/contract/repository.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';
import { makeTree, oracleOf } from './tree.ts';

const lab = realLab('rhost');
const rootfs = (name: string) => `/var/lib/vservers/${name}/rootfs`;
const list = () => JSON.parse(lab.vs(['backup', 'list', '--json']).stdout) as BackupRecord[];
const run = (name: string) =>
  JSON.parse(lab.vs(['backup', 'run', name, '--repository', 'far', '--json']).stdout) as SagaState;
const repositories = (code: number | null) =>
  JSON.parse(lab.vs(['backup', 'repositories', '--json'], code).stdout) as RepositoryInfo[];

beforeAll(() => {
  lab.up('--storage', 'dir', '--hosts', '2');
  lab.on('master', "echo 'far:tree:host2' >/etc/vs-tools/repositories.conf");
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']);
  lab.vs(['create', 'web3', '10.60.10.7', 'busybox', '--host', 'host2', '--start']);
  lab.on('host1', `${makeTree}\nrm socket`);
});
afterAll(() => lab.down());

test('a repository on a host: backed up there from another host and from itself, verified, proved, restored as it was, told while it is away', async () => {
  expect(run('web1')).toMatchObject({ result: 'done' });
  lab.on('host1', `cd ${rootfs('web1')}/kinds; echo two > new; chmod 600 file`);
  const second = run('web1');
  expect(second).toMatchObject({ result: 'done' });
  const [newest, first] = list();
  expect(newest).toMatchObject({ repository: 'far', vserver: 'web1', host: 'host1', basis: first?.id });
  expect(lab.on('host2', 'ls /var/lib/vs-tools/backups/far/web1 | wc -l').trim()).toBe('2');
  expect(lab.on('master', 'ls /var/lib/vs-tools/backups/far 2>&1; true')).toMatch(/No such file/);
  expect(lab.leftovers()).toEqual([]);

  expect(lab.vs(['backup', 'run', 'web3', '--repository', 'far', '--dry-run']).stdout).toMatch(
    /on host2, the same host/,
  );
  expect(run('web3')).toMatchObject({ result: 'done' });
  lab.vs(['backup', 'verify', 'web1']);
  lab.vs(['backup', 'protect', 'web1', first?.id ?? '']);
  expect(lab.vs(['backup', 'remove', 'web1', first?.id ?? '', '--yes'], 1).stderr).toMatch(/is protected/);
  expect(repositories(0).find((one) => one.name === 'far')).toMatchObject({
    host: 'host2',
    path: '/var/lib/vs-tools/backups/far',
    backups: 3,
  });

  const was = lab.on('host1', oracleOf(rootfs('web1')));
  lab.vs(['stop', 'web1']);
  lab.vs(['remove', 'web1', '--purge', '--yes']);
  lab.vs(['backup', 'restore', 'web1', '--host', 'host1', '--no-start']);
  expect(lab.on('host1', oracleOf(rootfs('web1')))).toEqual(was);
  lab.vs(['start', 'web1']);
  expect(lab.running('web1')).toEqual(['host1']);
  lab.vs(['backup', 'mount', 'web1', '/mnt/web1']);
  expect(lab.on('host2', 'cat /mnt/web1/kinds/new').trim()).toBe('two');
  expect(lab.vs(['backup', 'remove', 'web1', newest?.id ?? '', '--yes'], 1).stderr).toMatch(
    /is mounted at \/mnt\/web1, so it stays/,
  );
  lab.vs(['backup', 'umount', 'web1']);
  lab.vs(['backup', 'remove', 'web1', newest?.id ?? '', '--yes']);
  expect(list().filter((one) => one.vserver === 'web1')).toHaveLength(1);
  lab.vs(['backup', 'test', 'web3', '--host', 'host1']);
  expect(list().find((one) => one.vserver === 'web3')?.proof).toMatchObject({ ok: true });
  expect(lab.leftovers()).toEqual([]);

  lab.vs(['lab', 'kill', 'host2', '--name', lab.name]);
  const away = /host2, where the repository is, is offline/;
  const isTold = () => repositories(null).some((one) => away.test(one.fault ?? ''));
  for (let tries = 0; tries < 150 && !isTold(); tries++) await sleep(400);
  expect(lab.vs(['backup', 'run', 'web1', '--repository', 'far'], 1).stderr).toMatch(away);
}, 900_000);
