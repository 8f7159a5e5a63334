import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../shared/run.ts';

const inittab = `::sysinit:/etc/init.d/rcS
::respawn:/bin/httpd -f -p 80 -h /var/www
::ctrlaltdel:/sbin/reboot
`;
const rcS = `#!/bin/sh
hostname -F /etc/hostname 2>/dev/null
hostname > /var/www/index.html
`;

/** The built-in template: this host's static busybox with an init and a web server on TCP 80. */
export async function fillBusybox(rootfs: string): Promise<void> {
  for (const directory of [
    'bin',
    'sbin',
    'etc/init.d',
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
  for (const applet of ['init', 'reboot', 'poweroff', 'halt'])
    await symlink('/bin/busybox', join(rootfs, 'sbin', applet));
  await writeFile(join(rootfs, 'etc/inittab'), inittab);
  await writeFile(join(rootfs, 'etc/init.d/rcS'), rcS, { mode: 0o755 });
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(rootfs, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(rootfs, 'var/www/index.html'), 'busybox\n');
}
