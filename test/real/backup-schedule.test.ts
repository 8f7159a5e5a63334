import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { BackupState } from '../../shared/contract/backup-scheduler.ts';
import type { Data } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';

const lab = realLab('bksched');
beforeAll(() => {
  lab.up('--hosts', '2');
  lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--yes']);
  lab.vs(['create', 'web2', '10.60.10.6', 'busybox', '--host', 'host2', '--start', '--yes']);
});
afterAll(() => lab.down());

/** Each takes minutes of the schedule. */
const kills = process.env['VS_TEST_FULL'] === '1' ? 3 : 1;
const conf = (text: string) => lab.on('master', `printf '%s\\n' '${text}' > /etc/vs-tools/backup.conf`);
const status = (): Data<'backup-scheduler.status'> | undefined => {
  const { stdout, code } = lab.vs(['backup', 'status', '--json'], null);
  return code === 0 ? (JSON.parse(stdout) as Data<'backup-scheduler.status'>) : undefined;
};
const stateOf = (vserver: string): BackupState | undefined =>
  status()?.vservers.find((one) => one.vserver === vserver);
const backups = (vserver: string) =>
  JSON.parse(lab.vs(['backup', 'list', vserver, '--json']).stdout) as BackupRecord[];
const sagas = () =>
  (JSON.parse(lab.vs(['saga', 'list', '--json']).stdout) as SagaState[]).filter(
    (one) => one.kind === 'backup',
  );
/** The newest message of a retained topic; empty when there is none. */
const heard = (topic: string) =>
  lab.vs(['listen', topic, '--count', '1', '--for', '3', '--json'], null).stdout;
const alert = (subject: string, check: string) => heard(`master/alerts/${subject}/${check}`);
async function eventually(what: string, isSo: () => boolean, ms = 180_000): Promise<void> {
  const end = Date.now() + ms;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}; ${JSON.stringify(status())}`);
    await sleep(500);
  }
}

/** SIGKILL of the master, just when its book says that a backup has begun. */
async function killWhileOneRuns(): Promise<void> {
  const pid = lab.pidOf('master', 'master');
  const book = `/var/lib/vslab-${lab.name}/master/state/backup-scheduler.json`;
  const end = Date.now() + 180_000;
  while (!readFileSync(book, 'utf8').includes('"running"')) {
    if (Date.now() > end) throw new Error('no backup has begun');
    await sleep(5);
  }
  process.kill(pid, 'SIGKILL');
}

test('a pool without backup.conf says whom nothing backs up; a fault is told by its place, and the last good file stays', async () => {
  await eventually('uncovered', () => alert('backup', 'uncovered').includes('nothing backs up web1, web2'));
  expect(lab.vs(['backup', 'status', '--check'], 1).stdout).toContain('Nothing backs up web1, web2');
  expect(lab.vs(['backup', 'run'], 1).stderr).toMatch(/backup\.conf means no vserver; add a line/);
  conf('web1:hot:keep-last=2\n*:none');
  expect(lab.vs(['backup', 'schedule', '--check']).stdout).toMatch(
    /web1 +hot [^]*2 last[^]*backup.conf has no fault/,
  );
  conf('web1:hot:keep-last=none\n*:none');
  const { stdout } = lab.vs(['backup', 'schedule', '--check'], 1);
  expect(stdout).toMatch(
    /backup\.conf:1:20: keep-last is a whole number[^]*The last backup\.conf without a fault is in force:[^]*2 last/,
  );
  await eventually('the fault as an alert', () => alert('backup', 'config').includes('backup.conf:1:20'));
  conf('web1:hot:keep-last=2\n*:none');
  await eventually('no fault', () => alert('backup', 'config') === '' && alert('backup', 'uncovered') === '');
});

test('all of backup.conf by hand, as of 2007 too; then only the last two are kept', async () => {
  expect(lab.vs(['backup', 'run']).stdout).toMatch(/web1 +done in [^]*1 of 1 vservers were backed up in/);
  expect(lab.vs(['vs-backup-is-no-verb'], 2).code).toBe(2);
  expect(lab.vs(['backup', 'run', '--host', 'host2'], 1).stderr).toMatch(/means no vserver of host2/);
  for (let round = 0; round < 2; round++) {
    const [run] = JSON.parse(lab.vs(['backup', 'run', '--host', 'host1', '--json']).stdout) as {
      ok: boolean;
    }[];
    expect(run?.ok).toBe(true);
  }
  await eventually('the third pushed the first out', () => backups('web1').length === 2);
  expect(stateOf('web1')).toMatchObject({ state: 'ok', count: 2 });
  const kept = backups('web1');
  lab.vs(['backup', 'protect', 'web1', kept[1]?.id ?? '']);
  lab.vs(['backup', 'run', 'web1']);
  lab.vs(['backup', 'run', 'web1']);
  const dry = lab.vs(['backup', 'prune', '--dry-run']).stdout;
  expect(dry).toMatch(
    /kept: last[^]*kept: last[^]*would go[^]*kept: protected[^]*Nothing was removed \(--dry-run\); 1 would be/,
  );
  lab.vs(['backup', 'prune'], 2); // no terminal
  expect(lab.vs(['backup', 'prune', '--yes']).stdout).toContain('1 backups were removed');
  expect(backups('web1').map((one) => one.protected)).toEqual([false, false, true]);
});

test('a schedule of each minute makes backups by itself, of each vserver on its host, also over kills of the master', async () => {
  const before = sagas().length;
  const since = Date.now();
  conf('*:hot:schedule="* * * * *",keep-last=3');
  await eventually('both were backed up', () => backups('web2').length > 0 && sagas().length >= before + 2);
  expect(backups('web2')[0]).toMatchObject({ host: 'host2', mode: 'hot' });
  for (let round = 0; round < kills; round++) {
    await killWhileOneRuns();
    await eventually('the master is back', () => status() !== undefined);
    const last = backups('web1')[0]?.taken ?? 0;
    await eventually('it goes on', () => (backups('web1')[0]?.taken ?? 0) > last);
  }
  // no run of the schedule was done twice: one backup a minute and vserver at most, by when they began
  const begun = sagas().filter(
    (one) => one.started >= since && (one.issuer === 'master' || one.issuer === undefined),
  );
  for (const vserver of ['web1', 'web2']) {
    const minutes = begun
      .filter((one) => one.vserver === vserver && one.result === 'done')
      .map((one) => Math.floor(one.started / 60_000));
    expect([vserver, new Set(minutes).size]).toEqual([vserver, minutes.length]);
  }
  let told = '';
  await eventually('its state is told', () => (told = heard('backups/web1/state')) !== '');
  expect(JSON.parse(told.split('\n')[0] ?? '')).toMatchObject({
    faults: [],
    payload: { vserver: 'web1', schedule: '* * * * *' },
  });
  conf('*:hot:keep-last=3');
  await eventually('nothing runs', () => !sagas().some((one) => one.result === 'running'));
  await eventually('all is well', () => ['web1', 'web2'].every((name) => stateOf(name)?.state === 'ok'));
  await eventually('only three are kept', () => backups('web1').filter((one) => !one.protected).length <= 3);
  expect(lab.running('web1')).toEqual(['host1']);
}, 900_000);

test('a repository that cannot be written is told, and its alert ends; the backups of a vserver that is gone stay', async () => {
  conf('*:hot:repository=nosuch');
  const { stdout } = lab.vs(['backup', 'run'], 1);
  expect(stdout).toMatch(/web1 +failed: there is no repository nosuch[^]*0 of 2 vservers were backed up/);
  await eventually('the alert', () => alert('web1', 'backup-failed').includes('no repository nosuch'));
  expect(stateOf('web1')).toMatchObject({ state: 'failed' });
  lab.vs(['backup', 'status', '--check'], 1);
  conf('*:hot:keep-last=1');
  expect(lab.vs(['backup', 'run']).stdout).toContain('2 of 2 vservers were backed up');
  await eventually('its end', () => alert('web1', 'backup-failed') === '');
  await eventually('only the last one is kept', () => backups('web2').length === 1); // of one that is gone all stay
  lab.vs(['stop', 'web2']);
  lab.vs(['remove', 'web2', '--yes']);
  const left = backups('web2').length;
  expect(left).toBeGreaterThan(0);
  expect(lab.vs(['backup', 'prune', '--yes']).stdout).not.toContain('web2');
  expect(backups('web2')).toHaveLength(left);
  expect(stateOf('web2')).toMatchObject({ state: 'none', gone: true });
});
