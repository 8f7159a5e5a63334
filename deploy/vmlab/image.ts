import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { RunError, run, start } from '../../shared/run.ts';
import { mirrorFile, packMirror } from './mirror.ts';
import { bootModules, bootstrapCommand, hookOf, type Recipe } from './recipe.ts';

const LONG = { timeoutMs: 900_000 };
const GiB = 1024 ** 3;

async function bootstrap(recipe: Recipe, tree: string, scratch: string): Promise<void> {
  const hook = join(scratch, 'kernel-hook');
  await writeFile(hook, hookOf(recipe), { mode: 0o755 });
  try {
    await run(bootstrapCommand(recipe, tree, hook), LONG);
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    const said = error.stderr.split('\n').filter((line) => /^[EW]:/.test(line));
    throw new VsError(
      'failed',
      `no image of ${recipe.suite} could be made from ${recipe.mirror || "mmdebstrap's own mirror"}: ${said.slice(0, 3).join('; ') || error.message}. Name a mirror that answers in VS_TEMPLATE_MIRROR`,
      { cause: error },
    );
  }
}

/**
 * Puts the files of the kernel into the tree (installing it would drag in more) and answers its version. Its modules go to
 * /usr/lib whatever the package says: Debian 12 has them in /lib, which is a link that unpacking there would replace.
 */
async function unpackKernel(tree: string, scratch: string): Promise<string> {
  const unpacked = join(scratch, 'kernel');
  const [file = ''] = (await readdir(join(tree, 'kernel'))).filter((name) => name.endsWith('.deb'));
  await run(['dpkg-deb', '-x', join(tree, 'kernel', file), unpacked], LONG);
  await rm(join(tree, 'kernel'), { recursive: true });
  const modules = ['usr/lib/modules', 'lib/modules'].map((path) => join(unpacked, path));
  await rename(modules.find((path) => existsSync(path)) ?? '', join(tree, 'usr/lib/modules'));
  for (const name of await readdir(join(unpacked, 'boot')))
    await rename(join(unpacked, 'boot', name), join(tree, 'boot', name));
  const [version = ''] = await readdir(join(tree, 'usr/lib/modules'));
  await run(['chroot', tree, '/sbin/depmod', version], LONG);
  return version;
}

/** The kernel's own files for the boot: busybox, the modules of the disk in their order, and the first program. */
async function makeInitrd(recipe: Recipe, tree: string, version: string, scratch: string, to: string) {
  const root = join(scratch, 'initrd');
  for (const folder of ['bin', 'dev', 'modules', 'root'])
    await mkdir(join(root, folder), { recursive: true });
  const own = join(tree, 'bin/busybox'); // setup.sh puts one on this machine
  await copyFile(existsSync(own) ? own : '/bin/busybox', join(root, 'bin/busybox'));
  await writeFile(join(root, 'init'), recipe.initrd);
  await chmod(join(root, 'init'), 0o755);
  const depends = ['chroot', tree, 'modprobe', '-S', version, '-a', '--show-depends', ...bootModules];
  const lines = (await run(depends)).stdout.matchAll(/^insmod (\S+)/gm);
  const modules = [...new Set([...lines].map((match) => match[1] ?? ''))];
  for (const [at, module] of modules.entries()) {
    const name = join(root, 'modules', `${String(at).padStart(2, '0')}.ko`);
    const packed = module.endsWith('.xz') ? '.xz' : '';
    await copyFile(join(tree, module), `${name}${packed}`);
    if (packed) await run(['xz', '-d', `${name}${packed}`]);
  }
  const { stdout } = await run(['find', '.'], { cwd: root });
  const file = await open(to, 'w', 0o600);
  const packer = start(['busybox', 'cpio', '-o', '-H', 'newc'], {
    stdio: ['pipe', file.fd, 'ignore'],
    cwd: root,
  });
  packer.stdin?.end(stdout);
  const [code] = (await once(packer, 'close')) as [number | null];
  await file.close();
  if (code !== 0) throw new VsError('failed', 'the initrd could not be packed: busybox cpio failed');
}

/** What does not belong to any one machine, and what only costs time at the boot. */
async function tidy(recipe: Recipe, tree: string): Promise<void> {
  for (const name of ['etc/machine-id', 'etc/hostname', 'etc/resolv.conf', 'var/lib/dbus/machine-id'])
    await rm(join(tree, name), { force: true });
  for (const name of await readdir(join(tree, 'etc/ssh')))
    if (name.startsWith('ssh_host_')) await rm(join(tree, 'etc/ssh', name));
  await rm(join(tree, 'var/cache/apt'), { recursive: true, force: true });
  await rm(join(tree, 'var/lib/apt/lists'), { recursive: true, force: true });
  await run(['systemctl', '--root', tree, 'mask', ...recipe.masked]);
  await run(['systemctl', '--root', tree, 'enable', 'systemd-networkd.service', 'ssh.service']);
}

/** Makes `disk.qcow2`, `vmlinuz` and `initrd` of a recipe in an empty directory. */
export async function makeImage(
  recipe: Recipe,
  directory: string,
  say: (text: string) => void,
): Promise<void> {
  const scratch = join(directory, 'scratch');
  const tree = join(scratch, 'tree');
  await mkdir(tree, { recursive: true });
  say(`image: Debian ${recipe.suite} by mmdebstrap, with its kernel`);
  await bootstrap(recipe, tree, scratch);
  const version = await unpackKernel(tree, scratch);
  await makeInitrd(recipe, tree, version, scratch, join(directory, 'initrd'));
  await rename(join(tree, 'boot', `vmlinuz-${version}`), join(directory, 'vmlinuz'));
  await tidy(recipe, tree);
  if (recipe.mirrored) await packMirror(recipe, tree, join(directory, mirrorFile));
  say(`image: kernel ${version}; packing the disk`);
  const raw = join(scratch, 'disk.raw');
  await writeFile(raw, '');
  await truncate(raw, 4 * GiB);
  await run(['mkfs.ext4', '-q', '-F', '-L', 'root', '-m', '0', '-d', tree, raw], LONG);
  await run(['qemu-img', 'convert', '-O', 'qcow2', raw, join(directory, 'disk.qcow2')], LONG);
  await rm(scratch, { recursive: true });
}
