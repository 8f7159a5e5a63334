import { lstat, mkdir, open, realpath, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import type { VserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';

/** Writes a file of a guest from outside. The tree is the guest's: a symlink in it must not lead the host out of it. */
async function writeInside(rootfs: string, path: string, text: string): Promise<void> {
  const file = join(rootfs, path);
  await mkdir(dirname(file), { recursive: true });
  const root = await realpath(rootfs);
  if (!`${await realpath(dirname(file))}/`.startsWith(`${root}/`))
    throw new VsError('refused', `${dirname(path)} leads out of the vserver's root file system`);
  const there = await lstat(file).catch(() => undefined);
  if (there) await rm(file, { recursive: there.isDirectory() });
  const handle = await open(
    file,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o644,
  );
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

/** Host name, hosts and resolver inside; with `fresh` also what must differ between copies (machine id, ssh host keys). */
export async function writeGuestFiles(rootfs: string, vserver: VserverConfig): Promise<void> {
  const full = vserver.domain ? `${vserver.name}.${vserver.domain} ${vserver.name}` : vserver.name;
  const hosts = [
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    `${vserver.address} ${full}`,
    ...(vserver.address6 ? [`${vserver.address6} ${full}`] : []),
  ];
  await writeInside(rootfs, 'etc/hostname', `${vserver.name}\n`);
  await writeInside(rootfs, 'etc/hosts', `${hosts.join('\n')}\n`);
  const resolver = [
    ...(vserver.domain ? [`search ${vserver.domain}`] : []),
    ...(vserver.nameserver ? [`nameserver ${vserver.nameserver}`] : []),
  ];
  await writeInside(rootfs, 'etc/resolv.conf', `${resolver.join('\n')}\n`);
  await writeInside(rootfs, 'etc/machine-id', '');
}
