import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackupRecord } from '../../shared/contract/backup.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';

describe('a backup that is tried, mounted, and put back in parts', () => {
  const lab = realLab('bktest');
  const state = `/var/lib/vslab-${lab.name}/master/state`;
  const trial = '/run/vs/.trials/web1-test';
  const newest = () =>
    (JSON.parse(lab.vs(['backup', 'list', 'web1', '--json']).stdout) as BackupRecord[])[0] as BackupRecord;
  const inside = (script: string) => lab.vs(['exec', 'web1', '--', 'sh', '-c', script]).stdout;
  /** A verb on the master itself, as root. */
  const there = (...words: string[]) => {
    const settings = Object.entries(lab.environment).filter(
      ([key]) => key.startsWith('VS_') && key !== 'VS_STREAM_VIA',
    );
    const set = settings.map(([key, value]) => `${key}=${value}`).join(' ');
    return lab.on('master', `${set} ${lab.cli} ${words.join(' ')} 2>&1`, null);
  };
  /** Nothing of a try is left, on the host and in the repository. */
  function nothingLeft(): void {
    expect(lab.leftovers()).toEqual([]);
    const looked = lab.on(
      'host1',
      `ls /run/vs/.trials 2>/dev/null; grep -c web1-test /proc/net/unix; nft list tables | grep vstrial; ls /var/lib/vs-tools/rules | grep test; true`,
    );
    expect(looked.trim()).toBe('0');
    const holds = `${state}/backups/.holds`;
    expect(existsSync(holds) ? readdirSync(holds) : []).toEqual([]);
  }

  beforeAll(() => {
    lab.up('--storage', 'dir', '--hosts', '1');
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--start', '--enable']);
    inside('mkdir -p /etc/app; echo one > /etc/app/a; chown 33:34 /etc/app/a; echo hi > /etc/hello');
    lab.vs(['backup', 'run', 'web1']);
  });
  afterAll(() => lab.down());

  test('a test proves it beside the one that runs, and leaves its proof alone', () => {
    lab.vs(['backup', 'test', 'web1']);
    const { proof } = newest();
    expect(proof).toMatchObject({ ok: true, host: 'host1' });
    expect(proof?.checks.map((one) => one.check)).toEqual([
      'init',
      'address 10.60.10.5',
      'address fd60:10::5',
    ]);
    expect(lab.running('web1')).toEqual(['host1']);
    expect(lab.vs(['backup', 'status', 'web1']).stdout).toMatch(/PROVED/);
    nothingLeft();
  });

  test('nothing of it reaches a network; after kill -9 of the agent it ends all the same, not proved where a check is bad', async () => {
    lab.on('host1', 'echo "DAEMON=web tcp=127.0.0.1:81" > /var/lib/vservers/web1/monitor.conf');
    lab.vs(['backup', 'run', 'web1']);
    const begun = lab.vs(['backup', 'test', 'web1', '--patience', '20', '--no-follow', '--json']).stdout;
    const { id } = JSON.parse(begun) as SagaState;
    const init = `lxc-info -P /run/vs/.trials -n web1-test -pH`;
    let pid = '';
    for (let tries = 0; tries < 300 && pid === ''; tries++) {
      pid = lab.on('host1', `[ -d ${trial} ] && ${init} 2>/dev/null; true`).trim();
      if (pid === '') await sleep(100);
    }
    expect(pid).not.toBe('');
    const ping = `nsenter -t ${pid} -n ping -c 1 -W 1 10.60.10.1 2>&1; true`;
    expect(lab.on('host1', ping)).toMatch(/\b0 received|unreachable/);
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    const last = JSON.parse(lab.vs(['saga', 'follow', id, '--json'], 1).stdout) as SagaState;
    expect(last).toMatchObject({ result: 'undone' });
    expect(last.message).toMatch(/is not proved: .*DAEMON=web: .*port 81/);
    expect(newest().proof).toMatchObject({ ok: false });
    expect(lab.running('web1')).toEqual(['host1']);
    nothingLeft();
  });

  test('a mounted one is read-only, and is not removed', () => {
    const { id } = newest();
    lab.vs(['backup', 'mount', 'web1', '/mnt/web1']);
    expect(lab.on('master', 'cat /mnt/web1/etc/app/a; touch /mnt/web1/x 2>&1; true')).toMatch(
      /^one\n.*Read-only/,
    );
    expect(lab.vs(['backup', 'remove', 'web1', id, '--yes'], 1).stderr).toMatch(/is mounted at \/mnt\/web1/);
    expect(JSON.parse(lab.vs(['backup', 'mount', '--json']).stdout)).toEqual([
      { repository: 'main', vserver: 'web1', id, directory: '/mnt/web1' },
    ]);
    lab.vs(['backup', 'umount', 'web1']);
    expect(lab.vs(['backup', 'mount']).stdout).toMatch(/No backup is mounted/);
  });

  test('files go back into it, running and stopped; a link of the guest leads nowhere out of it', () => {
    inside('echo two > /etc/app/a; chown 0:0 /etc/app/a; echo new > /etc/app/b; rm /etc/hello');
    const restore = ['backup', 'restore', 'web1', '--path', '/etc/app', '--path', '/etc/hello', '--into'];
    const said = there(...restore, '--yes');
    expect(inside('cat /etc/app/a /etc/app/b /etc/hello; stat -c %u:%g /etc/app/a')).toBe(
      'one\nnew\nhi\n33:34\n',
    );
    const file = /\/var\/lib\/vs-tools\/replaced\/\S+\.tar/.exec(said)?.[0] ?? '';
    expect(readFileSync(file.replace('/var/lib/vs-tools', state)).toString('latin1')).toContain('two\n');
    lab.vs(['stop', 'web1']);
    const etc = '/var/lib/vservers/web1/rootfs/etc';
    lab.on('host1', `mkdir /root/outside; rm -r ${etc}/app; ln -s /root/outside ${etc}/app; rm ${etc}/hello`);
    expect(there(...restore.slice(0, 5), '--into', '--yes')).toMatch(/cannot overwrite/);
    there('backup', 'restore', 'web1', '--path', '/etc/hello', '--into', '--yes');
    expect(lab.on('host1', `ls /root/outside; cat ${etc}/hello`)).toBe('hi\n');
  });
});
