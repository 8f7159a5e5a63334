import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Data } from '../../shared/contract/commands.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { realLab } from './lab-kit.ts';

/** What a tree is, by other tools than those that make snapshots. */
const oracle = (root: string) => `cd ${root} || exit 1
find . -not -path './proc/*' -not -path './sys/*' -printf '%P %y %m %U:%G %s %T@ %l %n\\n' | grep -av ' d ' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m- 2>/dev/null; getcap -r . 2>/dev/null | LC_ALL=C sort`;
const makeTree = `set -e
d=/var/lib/vservers/web1/rootfs/kinds; mkdir -p $d/dir; cd $d
echo one > file; ln file hard; ln -s ../file dir/link; mkfifo fifo; truncate -s 5M sparse
printf 'odd' > "$(printf 'odd \\n name')"; chown 1000:2000 file; chmod 4755 dir
setfattr -n user.note -v hello file; cp /bin/busybox capable; setcap cap_net_bind_service+ep capable`;
const ROOT = '/var/lib/vservers/web1/rootfs';

type Snapshots = Data<'snapshot.kept'>['snapshots'];

describe('snapshots that people keep', () => {
  const lab = realLab('snap');
  const state = (host: string) => `/var/lib/vslab-${lab.name}/${host}/state`;
  const snapshots = (name = 'web1') =>
    JSON.parse(lab.vs(['snapshot', 'list', name, '--json']).stdout) as Snapshots;
  const names = (name = 'web1') => snapshots(name).map((one) => one.snapshot);
  const stateOf = (name: string) => lab.rows().find((row) => row.vserver === name)?.state;
  const guest = (script: string, name = 'web1') => lab.vs(['exec', name, '--', 'sh', '-c', script]).stdout;
  const refused = (args: string[], why: RegExp) => expect(lab.vs(args, 1).stderr).toMatch(why);
  async function until(what: () => boolean, why: string): Promise<void> {
    for (let tries = 0; !what(); tries++) {
      if (tries > 150) throw new Error(why);
      await sleep(400);
    }
  }
  /** Kills the agent of host1 while web1 stands frozen for a snapshot; answers those that were made before it succeeded. */
  async function killFrozen(): Promise<string[]> {
    const made: string[] = [];
    const mark = `${state('host1')}/quiesced/web1.json`;
    for (let tries = 0; tries < 20; tries++) {
      const pid = lab.pidOf('host1', 'agent');
      const snapshot = `killed-${tries}`;
      const making = spawn(lab.cli, ['snapshot', 'create', 'web1', snapshot], {
        env: lab.environment,
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => making.once('exit', resolve));
      while (!existsSync(mark) && making.exitCode === null)
        for (let spin = 0; spin < 200 && !existsSync(mark); spin++) await new Promise(setImmediate);
      if (existsSync(mark)) process.kill(pid, 'SIGKILL');
      const isCaught = existsSync(mark);
      await until(
        () => lab.vs(['show', 'web1', '--host', 'host1'], null).code === 0,
        'the agent is not back',
      );
      making.kill();
      await ended;
      if (isCaught) return made;
      if (names().includes(snapshot)) made.push(snapshot);
    }
    throw new Error('the agent was never killed while the vserver was frozen');
  }

  beforeAll(() => {
    lab.up('--hosts', '3', '--storage', 'mixed'); // host1 and host3: btrfs, host2: dir
    lab.vs(['create', 'web1', '10.60.10.5', 'busybox', '--host', 'host1', '--memory', '256M', '--start']);
    lab.vs(['create', 'flat', '10.60.10.6', 'busybox', '--host', 'host2', '--start']);
    lab.on('host1', makeTree);
  });
  afterAll(() => {
    lab.on('host1', 'rmdir /mnt/vs-snap-* 2>/dev/null; true', null);
    lab.down();
  });

  test('a mounted snapshot is the tree of its time, whatever came after', () => {
    const then = lab.on('host1', oracle(ROOT));
    expect(lab.vs(['snapshot', 'create', 'web1', 'one', '--note', 'first']).stdout).toMatch(
      /web1: snapshot one is made \(frozen for \d+ ms\)/,
    );
    expect(stateOf('web1')).toBe('running');
    guest('echo later > /kinds/file; rm /kinds/capable; echo new > /new');
    lab.vs(['snapshot', 'mount', 'web1', 'one', '/mnt/vs-snap-one']);
    expect(lab.on('host1', oracle('/mnt/vs-snap-one'))).toBe(then);
    expect(lab.on('host1', 'touch /mnt/vs-snap-one/x 2>&1; true')).toMatch(/Read-only/);
    expect(
      lab.on('host1', 'stat -c %a /mnt/vs-snap-one | head -1; findmnt -no OPTIONS /mnt/vs-snap-one'),
    ).toMatch(/nosuid,nodev,noexec/);
    expect(snapshots()[0]).toMatchObject({ note: 'first', kind: 'manual', mounted: ['/mnt/vs-snap-one'] });
    refused(['snapshot', 'remove', 'web1', 'one', '--yes'], /mounted at \/mnt\/vs-snap-one/);
    refused(['snapshot', 'mount', 'web1', 'one', '/mnt'], /not one where/);
    refused(['snapshot', 'mount', 'web1', 'one', '/mnt/no/place'], /there is no \/mnt\/no/);
    refused(['snapshot', 'mount', 'web1', 'one', '/etc/cron.x'], /not one where/);
    lab.on('host1', 'mkdir /srv/vs-snap-full; touch /srv/vs-snap-full/x; ln -s /etc /srv/vs-snap-link');
    refused(['snapshot', 'mount', 'web1', 'one', '/srv/vs-snap-full'], /not empty/);
    refused(['snapshot', 'mount', 'web1', 'one', '/srv/vs-snap-link/x'], /is in \/etc by a link/);
    lab.vs(['snapshot', 'umount', 'web1', 'one']);
    lab.on('host1', 'rm -r /srv/vs-snap-full /srv/vs-snap-link');
    refused(['snapshot', 'umount', 'web1', 'one'], /mounted nowhere/);
  });

  test('what differs is told, and bounded', () => {
    const all = lab.vs(['snapshot', 'diff', 'web1', 'one']).stdout;
    expect(all).toContain('* /kinds/file\n');
    expect(all).toContain('- /kinds/capable\n');
    expect(all).toContain('+ /new\n');
    expect(all).not.toContain('odd');
    const few = JSON.parse(lab.vs(['snapshot', 'diff', 'web1', 'one', '--limit', '1', '--json']).stdout);
    expect(few).toMatchObject({ more: true, differences: [{}] });
    lab.on('host1', `printf x > "${ROOT}/kinds/$(printf 'odd \\n name')"`);
    expect(lab.vs(['snapshot', 'diff', 'web1', 'one']).stdout).toContain('* /kinds/odd \\x0a name\n');
  });

  test('refusals change nothing, and say what can be done', () => {
    refused(['snapshot', 'create', 'web1', 'one'], /there is a snapshot one already/);
    refused(['snapshot', 'create', 'flat'], /storage dir, which makes no snapshots.*vs copy flat.*vs backup/);
    refused(['snapshot', 'schedule', 'flat', 'hourly'], /keeps no snapshots/);
    refused(['snapshot', 'rollback', 'flat', 'x', '--yes'], /keeps no snapshots.*vs trash list/);
    refused(['snapshot', 'rollback', 'web1', 'none', '--yes'], /has no snapshot none/);
    refused(['snapshot', 'show', 'web1', 'none'], /has no snapshot none/);
    refused(['snapshot', 'clone', 'web1', 'none', 'web9', '10.60.10.9'], /has no snapshot none/);
    for (const bad of ['..', 'a/b', '.a', 'a'.repeat(41)]) lab.vs(['snapshot', 'create', 'web1', bad], 2);
    lab.vs(['snapshot', 'remove', 'web1', 'one'], 2); // nobody is there to agree
    lab.vs(['snapshot', 'protect', 'web1', 'one']);
    refused(['snapshot', 'remove', 'web1', 'one', '--yes'], /is protected/);
    lab.vs(['snapshot', 'unprotect', 'web1', 'one']);
    expect(names()).toEqual(['one']);
    expect(lab.leftovers()).toEqual([]);
  });

  test('its own scripts run around it; when the first fails or hangs there is no snapshot, and the last runs all the same', () => {
    const write = (which: string, text: string) =>
      guest(
        `mkdir -p /etc/vs-tools; printf '#!/bin/sh\\n${text}\\n' > /etc/vs-tools/snapshot-${which}; chmod 755 /etc/vs-tools/snapshot-${which}`,
      );
    write('pre', 'echo pre >> /log');
    write('post', 'echo post >> /log');
    lab.vs(['snapshot', 'create', 'web1', 'scripted']);
    expect(guest('cat /log')).toBe('pre\npost\n');
    lab.vs(['snapshot', 'mount', 'web1', 'scripted', '/mnt/vs-snap-two']);
    expect(lab.on('host1', 'cat /mnt/vs-snap-two/log')).toBe('pre\n');
    lab.vs(['snapshot', 'umount', 'web1', 'scripted']);
    write('pre', 'echo the database is locked; exit 3');
    refused(
      ['snapshot', 'create', 'web1', 'no'],
      /snapshot-pre in web1 ended with exit code 3; its last line: the database is locked/,
    );
    expect(guest('cat /log')).toBe('pre\npost\npost\n');
    guest('rm -r /etc/vs-tools; mkdir /etc/vs-tools; ln -s /bin/reboot /etc/vs-tools/snapshot-pre');
    lab.vs(['snapshot', 'create', 'web1', 'linked']); // a link is none of its scripts
    guest('rm -r /etc/vs-tools');
    lab.vs(['snapshot', 'remove', 'web1', 'scripted', 'linked', '--yes']);
    expect(names()).toEqual(['one']);
  });

  test('an agent that is killed in the moment thaws it in its next life; what a person paused stays paused', async () => {
    const made = await killFrozen();
    await until(() => stateOf('web1') === 'running', 'web1 does not run on');
    expect(guest('echo alive')).toBe('alive\n');
    expect(existsSync(`${state('host1')}/quiesced/web1.json`)).toBe(false);
    expect(names()).toEqual(['one', ...made]);
    if (made.length > 0) lab.vs(['snapshot', 'remove', 'web1', ...made, '--yes']);
    await until(
      () => lab.on('host1', 'find /var/lib/vservers/.kept -mindepth 2 -maxdepth 2 -name ".*"') === '',
      'a half snapshot is left',
    );
    lab.vs(['pause', 'web1']);
    lab.vs(['snapshot', 'create', 'web1', 'paused']);
    expect(stateOf('web1')).toBe('frozen');
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    await until(() => lab.vs(['show', 'web1', '--host', 'host1'], null).code === 0, 'the agent is not back');
    expect(stateOf('web1')).toBe('frozen');
    lab.vs(['resume', 'web1']);
    lab.vs(['snapshot', 'remove', 'web1', 'paused', '--yes']);
  });

  test('a rollback brings back the files with their firewall, and keeps what was there', () => {
    const before = JSON.parse(lab.vs(['show', 'web1', '--json']).stdout) as Data<'host-agent.show'>;
    lab.on('host1', 'echo "# of now" > /var/lib/vservers/web1/firewall.conf');
    lab.vs(['limit', 'web1', '--memory', '300M']);
    const now = lab.on('host1', oracle(`${ROOT}/kinds`));
    const done = lab.vs(['snapshot', 'rollback', 'web1', 'one', '--yes']).stdout;
    const safety = /before-rollback-\d{8}T\d{6}Z$/m.exec(done)?.[0] ?? '';
    expect(done).toMatch(/web1 is as it was in one, and runs on host1\. It was down for/);
    expect(guest('cat /kinds/file; ls /new 2>&1; true')).toMatch(/^one\n.*No such file/);
    expect(lab.on('host1', 'cat /var/lib/vservers/web1/firewall.conf 2>/dev/null; true')).not.toContain(
      'of now',
    );
    const after = JSON.parse(lab.vs(['show', 'web1', '--json']).stdout) as Data<'host-agent.show'>;
    expect(after.config.limits.memory_bytes).toBe(300 * 1024 ** 2);
    expect(after.ownership).toEqual(before.ownership);
    expect(names()).toEqual(['one', safety]);
    lab.vs(['stop', 'web1']);
    lab.vs(['snapshot', 'rollback', 'web1', safety, '--yes', '--settings']);
    expect(stateOf('web1')).toBe('stopped');
    expect(lab.on('host1', oracle(`${ROOT}/kinds`))).toBe(now);
    expect(names()).toHaveLength(3);
    lab.vs(['start', 'web1']);
    expect(lab.leftovers()).toEqual([]);
    lab.vs(['snapshot', 'remove', 'web1', ...names().slice(1), '--yes']);
  });

  test('a rollback to rules with a fault is undone: what was there runs again', () => {
    lab.on('host1', 'echo "nonsense in every line" > /var/lib/vservers/web1/firewall.conf');
    lab.vs(['snapshot', 'create', 'web1', 'broken']);
    lab.on('host1', 'rm /var/lib/vservers/web1/firewall.conf');
    guest('echo now > /now');
    refused(
      ['snapshot', 'rollback', 'web1', 'broken', '--yes'],
      /web1 stays as it was before the rollback, running/,
    );
    expect(guest('cat /now')).toBe('now\n');
    expect(names()).toEqual(['one', 'broken']);
    lab.vs(['snapshot', 'remove', 'web1', 'broken', '--yes']);
    expect(lab.leftovers()).toEqual([]);
  });

  test.each([
    ['master', 'master', 'stage'],
    ['host1', 'agent', 'exchange'],
    ['master', 'master', 'exchange'],
    ['host1', 'agent', 'keep'],
  ])('a SIGKILL of the %s (%s) in step %s of a rollback: one whole vserver', async (node, victim, step) => {
    const now = lab.on('host1', oracle(`${ROOT}/kinds`));
    guest('echo now > /now');
    const pid = lab.pidOf(node, victim);
    const { id } = JSON.parse(
      lab.vs(['snapshot', 'rollback', 'web1', 'one', '--yes', '--no-follow', '--json']).stdout,
    ) as SagaState;
    const journal = `${state('master')}/sagas/${id}.jsonl`;
    await until(
      () =>
        existsSync(journal) && readFileSync(journal, 'utf8').includes(`"kind":"started","step":"${step}"`),
      `it did not come to ${step}`,
    );
    process.kill(pid, 'SIGKILL');
    const saga = await lab.ended(120_000);
    expect(['done', 'undone'], JSON.stringify(saga)).toContain(saga.result);
    await lab.settled('host1');
    expect(lab.running('web1')).toEqual(['host1']);
    if (saga.result === 'done') {
      expect(guest('cat /kinds/file; ls /now 2>&1; true')).toMatch(/^one\n.*No such/);
      const safety = names().find((one) => one.startsWith('before-rollback')) ?? '';
      lab.vs(['snapshot', 'rollback', 'web1', safety, '--yes']);
    }
    expect(lab.on('host1', oracle(`${ROOT}/kinds`))).toBe(now);
    expect(guest('cat /now')).toBe('now\n');
    const more = names().slice(1);
    if (more.length > 0) lab.vs(['snapshot', 'remove', 'web1', ...more, '--yes']);
    expect(lab.leftovers()).toEqual([]);
  });

  test('a clone is the snapshot’s tree, on the same host and on another storage', () => {
    lab.vs(['snapshot', 'clone', 'web1', 'one', 'web2', '10.60.10.7', '--host', 'host1', '--start']);
    lab.vs(['snapshot', 'clone', 'web1', 'one', 'web3', '10.60.10.8', '--host', 'host2']);
    lab.vs(['snapshot', 'mount', 'web1', 'one', '/mnt/vs-snap-clone']);
    const then = lab.on('host1', oracle('/mnt/vs-snap-clone/kinds'));
    lab.vs(['snapshot', 'umount', 'web1', 'one']);
    expect(lab.on('host1', oracle('/var/lib/vservers/web2/rootfs/kinds'))).toBe(then);
    expect(lab.on('host2', oracle('/var/lib/vservers/web3/rootfs/kinds'))).toBe(then);
    expect(snapshots('web2')).toEqual([]);
    for (const name of ['web2', 'web3']) {
      lab.vs(['stop', name]);
      lab.vs(['remove', name, '--purge', '--yes']);
    }
    expect(lab.leftovers()).toEqual([]);
  });

  test('they go along with a rename, into the trash and back, and stay behind in a move', async () => {
    expect(lab.vs(['rename', 'web1', 'shop', '--restart']).stdout).toMatch(/its snapshot goes along/);
    expect(names('shop')).toEqual(['one']);
    lab.vs(['rename', 'shop', 'web1', '--restart']);
    lab.vs(['stop', 'web1']);
    expect(lab.vs(['remove', 'web1', '--dry-run']).stdout).toMatch(/with its snapshot/);
    lab.vs(['remove', 'web1', '--yes']);
    expect(JSON.parse(lab.vs(['trash', 'list', '--json']).stdout)).toMatchObject([{ snapshots: 1 }]);
    lab.vs(['trash', 'restore', 'web1', '--start']);
    expect(names()).toEqual(['one']);
    lab.vs(['snapshot', 'mount', 'web1', 'one', '/mnt/vs-snap-moved']);
    expect(lab.vs(['move', 'web1', 'host2', '--dry-run']).stdout).toMatch(
      /its snapshot \(one\) stays on host1 and goes with the old copy/,
    );
    lab.vs(['move', 'web1', 'host2']);
    expect(names()).toEqual([]);
    lab.vs(['move', 'web1', 'host1']); // as long as they are there they are its own again
    expect(names()).toEqual(['one']);
    lab.vs(['move', 'web1', 'host2']);
    const inTrash = () =>
      (
        JSON.parse(lab.vs(['trash', 'list', '--json']).stdout) as Data<'orchestrator.trash'>['entries']
      ).filter((one) => one.host === 'host1');
    expect(inTrash()).toMatchObject([{ name: 'web1', snapshots: 1 }]);
    lab.vs(['trash', 'restore', 'web1', '--host', 'host1', '--as', 'old', '--address', '10.60.10.9']);
    expect(names('old')).toEqual(['one']);
    lab.vs(['remove', 'old', '--purge', '--yes']); // mounted or not: nothing is in the way of that
    expect(
      lab.on('host1', 'ls -A /var/lib/vservers/.kept; grep -c /mnt/vs-snap-moved /proc/self/mountinfo; true'),
    ).toBe('0\n');
    expect(lab.leftovers()).toEqual([]);
    lab.vs(['move', 'web1', 'host1']);
  });

  test('its host makes them by plan, without the master, and keeps as many as it is told', async () => {
    lab.vs(['snapshot', 'create', 'web1', 'mine']);
    expect(lab.vs(['snapshot', 'schedule', 'web1', 'daily', '--keep', '2']).stdout).toMatch(
      /a snapshot daily, the newest 2/,
    );
    process.kill(lab.pidOf('master', 'master'), 'SIGKILL');
    await until(
      () => lab.on('host1', 'ls /var/lib/vservers/.kept/*/').includes('auto-'),
      'no snapshot was made by plan',
    );
    await lab.masterIsBack();
    const [auto = ''] = names().filter((one) => one.startsWith('auto-'));
    expect(snapshots().find((one) => one.snapshot === auto)).toMatchObject({
      kind: 'automatic',
      by: 'host1',
    });
    // three of long ago, the first one protected: the newest two of all others stay
    lab.on(
      'host1',
      `cd /var/lib/vservers/.kept/*/ && for n in 1 2 3; do mkdir auto-$n && btrfs -q subvolume snapshot -r mine/tree auto-$n/tree &&
       sed -e "s/\\"mine\\"/\\"auto-$n\\"/;s/\\"manual\\"/\\"automatic\\"/;s/\\"taken\\": [0-9]*/\\"taken\\": $n/;s/\\"protected\\": false/\\"protected\\": $([ $n = 1 ] && echo true || echo false)/" mine/record.json > auto-$n/record.json; done`,
    );
    await until(() => !names().includes('auto-2'), 'what is more than was wanted does not go');
    expect(names()).toEqual(['auto-1', 'auto-3', 'mine', auto]);
    lab.vs(['snapshot', 'schedule', 'web1', 'off']);
    expect(lab.vs(['show', 'web1']).stdout).toMatch(/snapshots +4: vs snapshot list web1/);
  });

  test('they go along to another btrfs, share there what they shared here, and come back', async () => {
    guest('dd if=/dev/urandom of=/base bs=1M count=24 2>/dev/null; sync');
    lab.vs(['snapshot', 'create', 'web1', 'trip-1', '--note', 'before the trip']);
    guest('echo two > /two; sync');
    lab.vs(['snapshot', 'create', 'web1', 'trip-2']);
    lab.vs(['snapshot', 'protect', 'web1', 'trip-1']);
    const of = () =>
      snapshots().map(({ snapshot, taken, kind, by, note }) => ({ snapshot, taken, kind, by, note }));
    const before = of();
    expect(lab.vs(['move', 'web1', 'host3', '--dry-run']).stdout).toMatch(
      new RegExp(`its ${before.length} snapshots \\(trip-1, .*\\) go along`),
    );
    lab.vs(['move', 'web1', 'host3']);
    expect(lab.running('web1')).toEqual(['host3']);
    expect(of()).toEqual(before);
    expect(snapshots().find((one) => one.snapshot === 'trip-1')).toMatchObject({ protected: true });
    expect(lab.vs(['snapshot', 'diff', 'web1', 'trip-1', 'trip-2']).stdout).toMatch(/^\+ \/two$/m);
    const exclusive = (host: string) =>
      Number(
        lab
          .on(host, 'btrfs filesystem du -s --raw /var/lib/vservers/.kept/*/trip-1/tree | tail -1')
          .trim()
          .split(/\s+/)[1],
      );
    expect(exclusive('host3')).toBeLessThan(4_000_000);
    lab.vs(['snapshot', 'rollback', 'web1', 'trip-1', '--yes']);
    expect(guest('cat /two 2>&1; true')).toMatch(/No such file/);
    lab.vs(['move', 'web1', 'host1']);
    expect(of().filter((one) => one.kind !== 'rollback')).toEqual(before);
    expect(of().filter((one) => one.kind === 'rollback')).toHaveLength(1);
    expect(exclusive('host1')).toBeLessThan(4_000_000); // what was there of before the trip has gone for it
    lab.vs(['snapshot', 'unprotect', 'web1', 'trip-1']);
    expect(lab.leftovers()).toEqual([]);
  });

  test('a move counts what they take on its target: told, refused where that is not there, and right', async () => {
    for (const { snapshot } of snapshots()) {
      lab.vs(['snapshot', 'unprotect', 'web1', snapshot]);
      lab.vs(['snapshot', 'remove', 'web1', snapshot, '--yes']);
    }
    lab.vs(['trash', 'empty', '--yes']); // what host3 has of the trip would be its own again
    for (const round of ['1', '2', '3']) {
      guest('dd if=/dev/urandom of="/big len=9" bs=1M count=40 2>/dev/null; sync');
      lab.vs(['snapshot', 'create', 'web1', `r${round}`]);
    }
    guest('rm "/big len=9"; sync');
    const told = (text: string) =>
      Number(/; its 3 snapshots \(.*\) go along, ([\d.]+) MB more/.exec(text)?.[1]);
    const more = told(lab.vs(['move', 'web1', 'host3', '--dry-run']).stdout);
    expect(more).toBeGreaterThan(120);
    expect(more).toBeLessThan(135);
    const used = () => {
      lab.on('host3', 'btrfs subvolume sync /var/lib/vservers; sync -f /var/lib/vservers');
      return Number(lab.on('host3', 'df -B1 --output=used /var/lib/vservers | tail -1'));
    };
    lab.on(
      'host3',
      'cd /var/lib/vservers; free=$(df -BM --output=avail . | tail -1 | tr -dc 0-9); fallocate -l $((free - 100))M .ballast; sync -f .',
    );
    expect(lab.vs(['move', 'web1', 'host3'], 1).stderr).toMatch(
      /step "stage" failed on host3: no space left .*; without its snapshots it needs [\d.]+ MB: vs move web1 host3 --no-snapshots/,
    );
    expect(lab.leftovers()).toEqual([]);
    lab.on('host3', 'rm /var/lib/vservers/.ballast');
    const before = used();
    lab.vs(['move', 'web1', 'host3']);
    const took = (used() - before) / 1e6;
    const bytes = Number(/, ([\d.]+) MB in/.exec(lab.vs(['move', 'web1', 'host1', '--dry-run']).stdout)?.[1]);
    expect(took / (more + bytes), `${took} MB were taken, ${more} and ${bytes} told`).toBeCloseTo(1, 1);
    expect(told(lab.vs(['move', 'web1', 'host1', '--dry-run']).stdout) / more).toBeCloseTo(1, 1);
    lab.vs(['move', 'web1', 'host1']);
    await lab.settled('host1');
    expect(lab.leftovers()).toEqual([]);
  });

  test('they do not count against the disk limit', async () => {
    lab.vs(['limit', 'web1', '--disk', '200M']);
    guest('dd if=/dev/zero of=/big bs=1M count=120 2>/dev/null; sync');
    lab.vs(['snapshot', 'create', 'web1', 'big']);
    guest('rm /big; sync; dd if=/dev/zero of=/other bs=1M count=120 2>/dev/null && sync && rm /other');
    lab.vs(['snapshot', 'rollback', 'web1', 'big', '--yes']);
    expect(lab.vs(['limit', 'web1']).stdout).toMatch(/disk +\S+ MiB +200 MiB/);
    expect(
      lab.vs(['exec', 'web1', '--', 'dd', 'if=/dev/zero', 'of=/more', 'bs=1M', 'count=120'], 1).stderr,
    ).toMatch(/quota/i);
  });
});
