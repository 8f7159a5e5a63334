import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';

const init = `::sysinit:/bin/hostname -F /etc/hostname
::respawn:/bin/httpd -f -p 80 -h /www
::shutdown:/bin/true
`;

/** The built-in template: one static busybox, its init, and a web server on port 80. For tests and small things. */
export async function fillBusybox(rootfs: string): Promise<void> {
  for (const directory of [
    'bin',
    'sbin',
    'etc',
    'dev',
    'proc',
    'sys',
    'root',
    'tmp',
    'var',
    'run',
    'www',
    'usr',
  ]) {
    await mkdir(join(rootfs, directory), { recursive: true });
  }
  await copyFile('/bin/busybox', join(rootfs, 'bin/busybox')).catch((error: unknown) => {
    throw new VsError(
      'failed',
      'the busybox template needs /bin/busybox (package busybox-static) on this host',
      { cause: error },
    );
  });
  const { stdout } = await run(['/bin/busybox', '--list']);
  const have = new Set(await readdir(join(rootfs, 'bin')));
  for (const applet of stdout.split('\n').filter((name) => name && !have.has(name)))
    await symlink('busybox', join(rootfs, 'bin', applet));
  await symlink('../bin/busybox', join(rootfs, 'sbin/init'));
  await writeFile(join(rootfs, 'etc/inittab'), init);
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(rootfs, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(rootfs, 'www/index.html'), 'hello from a vserver\n');
}
