import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openNotify, watchdogMs } from '../../shared/notify.ts';

test('three signs of life in each span of the watchdog, and none that is meant for another process', () => {
  expect(watchdogMs({ WATCHDOG_USEC: '180000000' }, 7)).toBe(60_000);
  expect(watchdogMs({ WATCHDOG_USEC: '180000000', WATCHDOG_PID: '7' }, 7)).toBe(60_000);
  expect(watchdogMs({ WATCHDOG_USEC: '180000000', WATCHDOG_PID: '8' }, 7)).toBeUndefined();
  for (const WATCHDOG_USEC of ['', '0', 'soon', '-5'])
    expect(watchdogMs({ WATCHDOG_USEC }, 7)).toBeUndefined();
});

test('without a service manager nothing is said', () => {
  const environment = { PATH: process.env['PATH'] };
  openNotify(environment).ready('broker');
  expect(environment).toEqual({ PATH: process.env['PATH'] });
});

/** A datagram socket, as systemd has one: writes what comes into a file, `---` behind each. */
const manager = `use Socket; socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_un($ARGV[0])) or die $!;
open(my $f, '>>', $ARGV[1]) or die; $f->autoflush(1); print $f "up\\n"; while (defined recv($s, my $m, 4096, 0)) { print $f "$m\\n---\\n" }`;

test.each([
  ['a path', ''],
  ['an abstract name', '@'],
])('the service manager hears when it is ready, that it lives, and that it stops: %s', async (_what, at) => {
  const directory = mkdtempSync(join(tmpdir(), 'vs-notify-'));
  const socket = `${directory}/notify`;
  const heard = `${directory}/heard`;
  const text = () => {
    try {
      return readFileSync(heard, 'utf8');
    } catch {
      return '';
    }
  };
  const name = at === '@' ? `\0${socket}` : socket;
  const script = manager.replace('$ARGV[0]', at === '@' ? '"\\0$ARGV[0]"' : '$ARGV[0]');
  const process_ = spawn('perl', ['-MIO::Handle', '-e', script, socket, heard]);
  try {
    await expect.poll(text, { timeout: 20_000 }).toContain('up');
    const environment: NodeJS.ProcessEnv = {
      PATH: process.env['PATH'],
      NOTIFY_SOCKET: name.replace('\0', '@'),
      WATCHDOG_USEC: '600000',
    };
    const notify = openNotify(environment);
    expect(Object.keys(environment)).toEqual(['PATH']); // no child shall speak for it
    notify.ready('host-agent\nnetwork');
    await expect
      .poll(text, { timeout: 20_000 })
      .toMatch(/READY=1\nSTATUS=host-agent network\nWATCHDOG=1\n---\n(WATCHDOG=1\n---\n){2}/);
    notify.stopping();
    await expect.poll(text, { timeout: 20_000 }).toContain('STOPPING=1');
  } finally {
    process_.kill();
    rmSync(directory, { recursive: true });
  }
});
