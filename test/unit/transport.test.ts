import { describe, expect, test } from 'vitest';
import { agreed, parseSlaves } from '../../config/slaves.ts';
import { carriageText, chooseTransport } from '../../services/orchestrator/transport.ts';
import { applyProgram } from '../../services/transfer/apply.ts';
import { walkProgram } from '../../services/transfer/changes.ts';
import { watchClock } from '../../services/transfer/clock-watch.ts';
import { isCopy } from '../../services/transfer/orphans.ts';
import { rsyncWire } from '../../services/transfer/rsyncd.ts';
import { sshArgv } from '../../services/transfer/ssh.ts';
import type { HostInfo } from '../../shared/contract/host.ts';

const at = (host: string, storage: 'btrfs' | 'dir') =>
  ({ host, storage: { storage, capabilities: { send: storage === 'btrfs' } } }) as HostInfo;
const [host1, host2, host3] = [at('host1', 'btrfs'), at('host2', 'btrfs'), at('host3', 'dir')];

describe('which transport', () => {
  test.each([
    ['host1\nhost2', 'rsyncd-tls'],
    ['host1:transport=rsyncd\nhost2', 'rsyncd'],
    ['host1:transport=rsyncd\nhost2:noselect,transport=rsyncd-tls', 'rsyncd-tls'],
    ['host1:transport=rsyncd\nhost2:transport=ssh', 'ssh'],
    ['host1:transport=ssh\nhost2:transport=rsyncd-tls', 'rsyncd-tls'],
  ])('%j: the more private wish counts, and TLS without any', (text, wish) => {
    expect(agreed(parseSlaves(text, 'slaves.conf'))).toBe(wish);
  });

  test.each([
    'host1:transport=pigeon',
    'host1:transport=',
    'host1:transport=btrfs-send',
    'host1:transport=ssh,transport=ssh',
  ])('%s is refused with file and line', (text) =>
    expect(() => parseSlaves(text, 'slaves.conf')).toThrow(/slaves\.conf:1:\d+: .*transport/),
  );

  test('btrfs-send where both can, through what slaves.conf wants', () => {
    const text = (...args: Parameters<typeof chooseTransport>) => carriageText(chooseTransport(...args));
    expect(text(undefined, 'rsyncd-tls', host1, host2, false)).toBe('btrfs-send over TLS');
    expect(text(undefined, 'rsyncd-tls', host1, host2, true)).toBe('rsyncd over TLS');
    expect(text(undefined, 'rsyncd', host1, host3, false)).toBe('rsyncd, not encrypted');
    expect(text(undefined, 'ssh', host1, host2, false)).toBe('btrfs-send over ssh');
    expect(text('btrfs-send', 'rsyncd', host1, host2, false)).toBe('btrfs-send, not encrypted');
    expect(text('ssh', 'rsyncd-tls', host1, host2, false)).toBe('rsync over ssh');
    expect(text('rsyncd-tls', 'rsyncd', host1, host2, false)).toBe('rsyncd over TLS');
    expect(text('rsync', 'ssh', host1, host2, false)).toBe('rsync over ssh');
    expect(text('rsync', 'rsyncd', host1, host2, false)).toBe('rsyncd, not encrypted');
    expect(() => text('rsyncd', 'ssh', host1, host2, false)).toThrow(/in the clear.*slaves.conf.*wants ssh/);
    expect(() => text('btrfs-send', 'ssh', host1, host3, false)).toThrow(/needs btrfs on both sides/);
  });
});

test('what a killed agent leaves at work is known by its command line, and nothing else is', () => {
  const directories = { run: '/run/vs', vservers: '/var/lib/vservers' };
  const is = (...argv: string[]) => isCopy(argv, directories);
  expect(is('rsync', '--daemon', '--no-detach', '--config=/run/vs/.transfer-a/rsyncd.conf')).toBe(true);
  expect(is('rsync', '--server', '--daemon', '--config=/run/vs/.transfer-a/rsyncd.conf', '.')).toBe(true);
  expect(is('rsync', '-aHAX', '/var/lib/vservers/web1/', 'rsync://vs@10.0.0.2:4000/tree/')).toBe(true);
  expect(is('rsync', `--rsh="${rsyncWire}"`, '/var/lib/vservers/web1/', 'vs-transfer::tree/')).toBe(true);
  expect(is('/usr/bin/perl', rsyncWire, 'vs-transfer', 'rsync', '--server', '--daemon', '.')).toBe(true);
  expect(is(...sshArgv('10.0.0.2', 4000))).toBe(true);
  expect(is('perl', '/x/confine.pl', '/run/vs/.transfer-a', '/var/lib/vservers/web1', 'ro', 'tar')).toBe(
    true,
  );
  expect(is('/run/vs/.transfer-a/tar', '--create', '-f', '-', '.')).toBe(true);
  expect(is('perl', walkProgram, '/var/lib/vservers/web1', '', '', 'a', 'b', 'c')).toBe(true);
  expect(is('perl', applyProgram, '/var/lib/vservers/.staging/web1.s/tree', 'prepare')).toBe(true);
  expect(is('perl', applyProgram, '/srv/other/.staging/web1.s/tree', 'prepare')).toBe(false);
  expect(is('tar', '--create', '-f', '-', '/run/vs')).toBe(false);
  expect(is('ssh', '-W', '127.0.0.1:22', 'root@10.0.0.2')).toBe(false);
  expect(is('rsync', '-a', '/home/', 'rsync://vs@10.0.0.2:4000/tree/')).toBe(false);
  expect(is('rsync', '--server', '--daemon', '.')).toBe(false);
});

test('a clock that is set back is seen, also when it is set right again; one that jumps ahead is no matter', async () => {
  let [wall, steady] = [1_000_000, 0];
  const watch = watchClock(
    () => wall,
    () => steady,
  );
  wall += 5000;
  steady += 5000;
  expect(watch.setBack()).toBe(0);
  wall += 3_600_000;
  expect(watch.setBack()).toBe(0);
  wall -= 3_600_000 + 20_000;
  await new Promise((resolve) => setTimeout(resolve, 600)); // it looks by itself
  wall += 20_000;
  expect(watch.setBack()).toBe(20_000);
  watch.stop();
});
