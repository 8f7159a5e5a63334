import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { RepositoryInfo } from '../../shared/contract/repository.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';
import { makeTree, oracleOf } from './tree.ts';

const lab = realLab('restic');
const state = `/var/lib/vslab-${lab.name}/master/state`;
const rootfs = (name: string) => `/var/lib/vservers/${name}/rootfs`;
const list = () => JSON.parse(lab.vs(['backup', 'list', '--json']).stdout) as BackupRecord[];
const run = (...flags: string[]) =>
  JSON.parse(
    lab.vs(['backup', 'run', 'web1', '--repository', 'far', ...flags, '--json']).stdout,
  ) as SagaState;
const within = (directory: string) =>
  existsSync(`${state}/restic/far/${directory}`) ? readdirSync(`${state}/restic/far/${directory}`) : [];

beforeAll(() => {
  lab.up('--storage', 'dir');
  lab.on('master', "echo 'far:restic:/var/lib/vs-tools/far' >/etc/vs-tools/repositories.conf");
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']);
  lab.on('host1', `${makeTree}\nrm socket`);
});
afterAll(() => lab.down());

test('restic: backed up hot, a second time with little and killed in its middle, restored elsewhere as it was, and shown', async () => {
  const first = run();
  expect(first).toMatchObject({ kind: 'backup', result: 'done' });
  await sleep(3000); // what is written in the two seconds before a backup is sent again by the next one
  lab.on('host1', `cd ${rootfs('web1')}/kinds; echo two > new; chmod 600 file`);
  const { id } = run('--no-follow');
  const journal = `${state}/sagas/${id}.jsonl`;
  const end = Date.now() + 120_000;
  while (!readFileSync(journal, 'utf8').includes('"kind":"started","step":"seal"')) {
    if (Date.now() > end) throw new Error(`backup ${id} did not come to step seal`);
    await sleep(5);
  }
  await sleep(500); // restic works
  process.kill(lab.pidOf('master', 'master'), 'SIGKILL');
  let second: SagaState | undefined;
  for (let tries = 0; tries < 300 && second?.result !== 'done'; tries++) {
    await sleep(300);
    const asked = lab.vs(['saga', 'show', id, '--json'], null);
    if (asked.code === 0) second = (JSON.parse(asked.stdout) as { saga: SagaState }).saga;
  }
  expect(second?.result).toBe('done');
  const sent = readFileSync(journal, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { output?: { bytes?: number } }).output?.bytes ?? 0)
    .reduce((sum, bytes) => sum + bytes);
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan(2_000_000);
  expect(list()).toHaveLength(2);
  expect(list()[0]).toMatchObject({
    repository: 'far',
    vserver: 'web1',
    basis: list()[1]?.id,
    running: true,
  });
  expect([within('.partial'), within('kept'), lab.leftovers()]).toEqual([[], ['web1'], []]);
  const key = readFileSync(`${state}/restic/far/key`, 'utf8').trim();
  expect(
    lab.on('master', `ps -eo args; cat /etc/vs-tools/repositories.conf; cat /var/lib/vs-tools/sagas/*`),
  ).not.toContain(key);

  const was = lab.on('host1', oracleOf(rootfs('web1')));
  const restored = JSON.parse(
    lab.vs([
      'backup',
      'restore',
      'web1',
      '--as',
      'web2',
      '--address',
      '10.60.10.9',
      '--host',
      'host2',
      '--json',
    ]).stdout,
  ) as SagaState;
  expect(restored).toMatchObject({ result: 'done' });
  expect(restored.steps.map((step) => step.step)).toContain('fetch');
  const now = lab.on('host2', oracleOf(rootfs('web2')));
  const same = (text: string) =>
    text.split('\n').filter((line) => !/etc\/(host|machine-id|network|resolv|inittab)|^etc |^\. /.test(line));
  expect(same(now)).toEqual(same(was));
  lab.vs(['start', 'web2']);
  expect(lab.running('web2')).toEqual(['host2']);
  expect([within('.fetched'), lab.leftovers()]).toEqual([[], []]);

  // its files are shown on the master, and what is shown stays
  lab.vs(['backup', 'mount', 'web1', '/mnt/web1', '--id', list()[0]?.id ?? '']);
  expect(lab.on('master', 'cat /mnt/web1/kinds/new').trim()).toBe('two');
  expect(lab.vs(['backup', 'remove', 'web1', list()[0]?.id ?? '', '--yes'], null).stderr).toContain(
    'is mounted at /mnt/web1, so it stays',
  );
  lab.vs(['backup', 'umount', 'web1']);
  expect([within('.shown/web1'), lab.on('master', 'ls /mnt/web1')]).toEqual([[], '']);

  const [far, main] = JSON.parse(
    lab.vs(['backup', 'repositories', '--json']).stdout,
  ).toReversed() as RepositoryInfo[];
  expect(far).toMatchObject({ name: 'far', kind: 'restic', backups: 2 });
  expect(main).toMatchObject({ name: 'main', kind: 'tree', backups: 0 });
}, 900_000);
