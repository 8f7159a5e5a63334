import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../shared/run.ts';

/** Not busybox's own init: that one sleeps two seconds in every halt. */
const init = `#!/bin/sh
# PID 1 of the busybox template: serves HTTP on port 80; halts and reboots at once, without a sync of the whole host.
ending() { kill -TERM -1 2>/dev/null; exec "$1" -n -f; }
trap 'ending poweroff' PWR USR1 USR2
trap 'ending reboot' TERM INT
hostname -F /etc/hostname 2>/dev/null
hostname > /var/www/index.html
while :; do
  httpd -f -p 80 -h /var/www &
  wait $!
  sleep 1 &
  wait $!
done
`;

/** The built-in template: this host's static busybox with an init and a web server on TCP 80. */
export async function fillBusybox(rootfs: string): Promise<void> {
  for (const directory of [
    'bin',
    'sbin',
    'etc',
    'proc',
    'sys',
    'dev',
    'tmp',
    'root',
    'run',
    'var/www',
    'var/log',
    'usr/bin',
    'usr/sbin',
  ])
    await mkdir(join(rootfs, directory), { recursive: true, mode: 0o755 });
  await chmod(join(rootfs, 'tmp'), 0o1777);
  await copyFile('/bin/busybox', join(rootfs, 'bin/busybox'));
  await chmod(join(rootfs, 'bin/busybox'), 0o755);
  const applets = (await run(['/bin/busybox', '--list'])).stdout.split('\n').filter(Boolean);
  for (const applet of applets)
    if (applet !== 'busybox') await symlink('/bin/busybox', join(rootfs, 'bin', applet));
  await writeFile(join(rootfs, 'sbin/init'), init, { mode: 0o755 });
  for (const applet of ['reboot', 'poweroff', 'halt'])
    await symlink('/bin/busybox', join(rootfs, 'sbin', applet));
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(rootfs, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(rootfs, 'var/www/index.html'), 'busybox\n');
}
