// services/host-agent/busybox.ts, as the simulated processes see it: a root file system of three files
import { mkdir, writeFile } from '../os/fs-promises.ts';
import { FIRST_DATA } from '../trees.ts';

export async function fillBusybox(rootfs: string): Promise<void> {
  for (const directory of ['sbin', 'etc', 'var']) await mkdir(`${rootfs}/${directory}`, { recursive: true });
  await writeFile(`${rootfs}/sbin/init`, 'init');
  await writeFile(`${rootfs}/var/data`, FIRST_DATA);
}
