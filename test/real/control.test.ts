import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PastEvent } from '../../shared/contract/host.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import { realLab } from './lab-kit.ts';

describe('control of vservers', () => {
  const lab = realLab('control');
  const node = (verb: 'kill' | 'boot', name: string) => lab.vs(['lab', verb, '--name', lab.name, name]);
  /** Typed on the host itself. */
  const onHost = (args: string[], expected: number | null = 0) =>
    lab.vs(['lab', 'exec', '--name', lab.name, 'host1', '--', './vs', ...args], expected);
  const events = () =>
    lab
      .vs(['events', '-n', '1000', '--json'])
      .stdout.split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as PastEvent);
  /** Names in the order in which something happened to them since a moment, and when. */
  const order = (event: string, since: number) =>
    events().filter((one) => one.event === event && one.ts >= since && one.vserver !== undefined);
  const names = (all: PastEvent[]) => all.map((one) => one.vserver);
  const stateOf = (name: string) =>
    (JSON.parse(lab.vs(['show', name, '--json']).stdout) as { state: VserverState }).state;
  const inScan = (name: string) => lab.rows().find((row) => row.vserver === name)?.state;
  async function until(what: () => boolean, why: string): Promise<void> {
    for (let left = 120; !what(); left--) {
      if (left === 0) throw new Error(`waited in vain: ${why}`);
      await sleep(250);
    }
  }
  const rootfs = (name: string) => `/var/lib/vservers/${name}/rootfs`;
  const tick = () => lab.on('host1', `cat ${rootfs('web1')}/tick`).trim();
  const begin = `sh -c 'while :; do cat /proc/uptime > /tick; usleep 20000; done' > /dev/null 2>&1 &`;
  const ticking = async () => {
    const before = tick();
    await sleep(500);
    return tick() !== before;
  };

  beforeAll(() => {
    lab.up('--hosts', '1');
    for (const [name, last] of [
      ['db1', 4],
      ['web1', 5],
      ['web2', 6],
    ] as const)
      lab.vs(['create', name, `10.60.10.${last}`, 'busybox', '--host', 'host1', '--enable', '--start']);
  });
  afterAll(() => lab.down());

  test('a paused one stands still and shows as frozen; it runs on as it was, or stops; what nobody may do says so', async () => {
    lab.vs(['exec', 'web1', '--', 'sh', '-c', begin]);
    await until(() => lab.on('host1', `cat ${rootfs('web1')}/tick || true`) !== '', 'it ticks');
    const { pid } = stateOf('web1');
    expect(lab.vs(['pause', 'web1']).stdout).toBe('web1 on host1: frozen\n');
    expect(inScan('web1')).toBe('frozen');
    expect(await ticking()).toBe(false);
    expect(lab.vs(['exec', 'web1', '--', 'true'], 1).stderr).toContain('vs resume web1');
    expect(lab.vs(['remove', 'web1', '--yes'], 1).stderr).toContain('frozen');
    expect(JSON.parse(lab.vs(['pause', 'web1', '--json']).stdout)).toMatchObject([{ state: 'frozen' }]);
    expect(lab.vs(['resume', 'web1']).stdout).toBe('web1 on host1: running\n');
    expect(await ticking()).toBe(true);
    expect(stateOf('web1').pid).toBe(pid);

    lab.vs(['pause', '--all']);
    expect(lab.rows().map((row) => row.state)).toEqual(['frozen', 'frozen', 'frozen']);
    lab.vs(['start', '--all']); // who paused them resumes them
    expect(inScan('web1')).toBe('frozen');
    lab.vs(['start', 'web1']);
    expect(await ticking()).toBe(true);
    expect(stateOf('web1').pid).toBe(pid);
    lab.vs(['resume', '--all']);
    expect(lab.rows().map((row) => row.state)).toEqual(['running', 'running', 'running']);

    lab.on('host1', 'lxc-freeze -P /var/lib/vservers -n web2'); // by hand
    await until(() => inScan('web2') === 'frozen', 'the state says so');
    expect(lab.vs(['stop', 'web2']).stdout).toBe('web2 on host1: stopped\n');
    expect(lab.vs(['resume', 'web2'], 1).stderr).toContain('vs start web2');
    expect(lab.vs(['pause', 'web2'], 1).stderr).toContain('cannot be paused');
    expect(lab.vs(['pause', 'nothing'], 1).stderr).toContain('there is no vserver nothing');
    lab.vs(['pause', 'web1']);
    expect(lab.vs(['kill', 'web1', 'db1']).stdout.split('\n').sort().join(' ')).toBe(
      ' db1 on host1: stopped web1 on host1: stopped',
    );
    expect(lab.running('web1')).toEqual([]);
    lab.vs(['start', '--all']);
  });

  test('what its host does not own is never thawed: it ends as it stands', async () => {
    const owned = '/var/lib/vs-tools/owned/web1.json';
    lab.vs(['exec', 'web1', '--', 'sh', '-c', begin]);
    lab.vs(['pause', 'web1']);
    const last = tick();
    lab.on('host1', `cp ${owned} /tmp/vslab-control.json; sed -i 's/"owner": true/"owner": false/' ${owned}`);
    expect(lab.vs(['resume', 'web1', '--host', 'host1'], 1).stderr).toContain('does not own web1');
    await until(
      () => lab.on('host1', 'lxc-info -P /var/lib/vservers -n web1 -s').includes('STOPPED'),
      'its end',
    );
    expect(tick()).toBe(last);
    lab.on('host1', `mv /tmp/vslab-control.json ${owned}`);
    lab.vs(['start', 'web1']);
  });

  test('boot order and delay: at the boot of the host, in start --all, and reversed in stop --all', async () => {
    lab.vs(['boot', 'web2', '--order', '2']);
    lab.vs(['boot', 'db1', '--order', '1', '--delay', '1']);
    const shown = lab
      .vs(['boot'])
      .stdout.split('\n')
      .map((line) => line.split(/\s+/).slice(1, 4).join(' '));
    expect(shown.slice(1, 4)).toEqual(['db1 starts 1', 'web2 starts 2', 'web1 starts -']);
    node('kill', 'host1');
    const booted = Date.now();
    node('boot', 'host1');
    await until(() => lab.rows().filter((row) => row.state === 'running').length === 3, 'all run');
    await until(() => order('started', booted).length >= 3, 'each is told');
    const started = order('started', booted);
    expect(names(started)).toEqual(['db1', 'web2', 'web1']);
    expect((started[1]?.ts ?? 0) - (started[0]?.ts ?? 0)).toBeGreaterThanOrEqual(1000);

    const stopping = Date.now();
    expect(JSON.parse(lab.vs(['stop', '--all', '--timeout', '20', '--json']).stdout)).toMatchObject(
      ['db1', 'web1', 'web2'].map((name) => ({ name, state: 'stopped' })),
    );
    await until(() => order('stopped', stopping).length >= 3, 'each is told');
    expect(names(order('stopped', stopping))).toEqual(['web1', 'web2', 'db1']);
    const starting = Date.now();
    lab.vs(['start', '--all', '--host', 'host1']);
    await until(() => order('started', starting).length >= 3, 'each is told');
    expect(names(order('started', starting))).toEqual(['db1', 'web2', 'web1']);
    expect(lab.vs(['boot', 'web2', '--order', 'none', '--disable', '--json']).stdout).not.toContain('order');
    expect(stateOf('web2')).toMatchObject({ enabled: false });
  });

  test('the deadline of a stop: of the command, else its own', async () => {
    // an init that does not listen
    lab.on(
      'host1',
      `printf '#!/bin/sh\\ntrap "" USR2 TERM PWR INT\\nwhile :; do sleep 1; done\\n' > ${rootfs('web2')}/sbin/init`,
    );
    lab.vs(['kill', 'web2']);
    lab.vs(['start', 'web2']);
    lab.vs(['boot', 'web2', '--stop-timeout', '1']);
    // longer than this test waits for any command
    lab.on('host1', 'echo STOP_TIMEOUT=600 >> /etc/vs-tools/vs-tools.conf');
    process.kill(lab.pidOf('host1', 'agent'), 'SIGKILL');
    await until(
      () => lab.vs(['stop', 'web2'], null).stdout.includes('stopped'),
      'the agent is back, and stops it',
    );
    lab.vs(['boot', 'web2', '--stop-timeout', '600']);
    lab.vs(['start', 'web2']);
    expect(lab.vs(['stop', 'web2', '--timeout', '1']).stdout).toContain('stopped');
  });

  test('the console: its last lines, what comes, and no more of it than the disk is to hold', async () => {
    const write = (text: string) => lab.vs(['exec', 'web1', '--', 'sh', '-c', `{ ${text}; } > /dev/console`]);
    write('echo one; echo two');
    expect(lab.vs(['logs', 'web1', '-n', '1']).stdout.trim()).toBe('two');
    expect(lab.vs(['logs', 'web1', '-n', '2', '--json']).stdout).toBe(
      '{"vserver":"web1","line":"one"}\n{"vserver":"web1","line":"two"}\n',
    );
    const follower = spawn(lab.cli, ['logs', 'web1', '-n', '0', '--follow'], { env: lab.environment });
    let said = '';
    follower.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise((resolve) => follower.once('exit', resolve));
    await until(() => {
      write('echo three');
      return said.includes('three');
    }, 'the follower hears it');
    write('yes 0123456789 | head -c 3000000');
    write('echo; echo four');
    await until(() => said.includes('four'), 'the follower is there behind the flood');
    expect(said).not.toContain('two');
    const cancelled = Date.now();
    follower.kill('SIGINT');
    expect(await ended).toBe(130);
    await until(
      () => events().some((one) => one.event === 'cancelled' && one.ts >= cancelled),
      'it ends there, too',
    );

    const sizes = () =>
      lab.on('host1', 'stat -c %s /var/lib/vs-tools/log/web1.console*').split('\n').map(Number);
    expect(Math.max(...sizes())).toBeLessThanOrEqual(524_288);
    lab.vs(['restart', 'web1']);
    write('yes 0123456789 | head -c 3000000');
    write('echo; echo five');
    expect(sizes().filter((size) => size > 0).length).toBeLessThanOrEqual(4);
    expect(sizes().reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(4 * 524_288);
    expect(lab.vs(['logs', 'web1', '--boot', '-n', '10000']).stdout).not.toContain('four');
    expect(lab.vs(['logs', 'web1', '-n', '1']).stdout.trim()).toBe('five');
  });

  test('on a host whose master and broker are dead its own verbs work, and the pool knows it later', async () => {
    lab.vs(['start', 'web1', 'db1']);
    node('kill', 'master');
    const away = Date.now();
    expect(onHost(['stop', 'web1']).stdout).toBe('web1 on host1: stopped\n');
    expect(onHost(['scan']).stdout).toMatch(/host1 +web1 +stopped/);
    expect(onHost(['exec', 'db1', '--', 'hostname']).stdout.trim()).toBe('db1');
    expect(onHost(['pause', 'db1', '--local']).stdout).toBe('db1 on host1: frozen\n');
    expect(onHost(['logs', 'web1', '-n', '1']).stdout.trim()).toBe('five');
    expect(onHost(['disable', 'web1']).stdout).toBe('web1 on host1: disabled\n');
    const move = onHost(['move', 'web1', 'host2'], 4);
    expect(move.stderr).toContain('orchestrator.move is a matter of the master');
    expect(onHost(['start', 'web9'], 4).stderr).toContain('host1 has no vserver web9');
    expect(
      lab.on('host1', 'stat -c %a /run/vs/.agent /run/vs/.agent/socket').split('\n').slice(0, 2),
    ).toEqual(['700', '600']);

    node('boot', 'master');
    await lab.masterIsBack();
    await until(() => lab.vs(['scan', '--json'], null).code === 0 && inScan('db1') === 'frozen', 'the pool');
    expect(lab.rows().find((row) => row.vserver === 'web1')).toMatchObject({
      state: 'stopped',
      enabled: false,
    });
    const audit = () =>
      lab
        .vs(['audit', '--user', 'root', '--json'])
        .stdout.split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { command: string; target: string; ts: number; result: string });
    await until(() => audit().length >= 4, 'the audit');
    expect(audit().map((one) => one.command)).toEqual(
      expect.arrayContaining([
        'host-agent.stop',
        'host-agent.session',
        'host-agent.pause',
        'host-agent.disable',
      ]),
    );
    expect(audit().every((one) => one.target === 'host1' && one.ts >= away && one.result === 'ok')).toBe(
      true,
    );
    // what a unit of the host does at its shutdown
    const down = Date.now();
    onHost(['stop', '--all', '--local']);
    await until(() => lab.rows().every((row) => row.state === 'stopped'), 'all are stopped');
    await until(() => order('stopped', down).length > 0, 'it is told');
    expect(names(order('stopped', down))).toEqual(['db1']);
  });
});
