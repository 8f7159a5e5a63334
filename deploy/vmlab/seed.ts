import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../../shared/run.ts';
import type { Machine } from './model.ts';
import { blankFiles } from './blank.ts';
import { mirrorAt } from './mirror.ts';
import { type Keys, bareFilesOf, filesOf, projectAt, unitsOf } from './units.ts';

/** All seeds are of one size, as all disks of VMs that go on from one state are. */
const SEED_BYTES = 1024 ** 2;

const modeOf = (path: string, text: string): number =>
  path.endsWith('_key') || path.startsWith('root/.ssh/') ? 0o600 : text.startsWith('#!') ? 0o755 : 0o644;

/** Writes the files of one VM as a tar, which the initrd unpacks over the image from a disk. */
export async function writeSeed(machine: Machine, all: Machine[], keys: Keys, file: string): Promise<void> {
  const tree = `${file}.tree`;
  await mkdir(tree, { mode: 0o755 });
  const files =
    machine.role === 'blank' ? blankFiles(keys) : (machine.bare ? bareFilesOf : filesOf)(machine, all, keys);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(tree, dirname(path)), {
      recursive: true,
      mode: path.startsWith('root/') ? 0o700 : 0o755,
    });
    await writeFile(join(tree, path), text, { mode: modeOf(path, text) });
  }
  const wants = join(tree, 'etc/systemd/system/multi-user.target.wants');
  await mkdir(wants, { recursive: true });
  for (const unit of unitsOf(machine)) await symlink(`/etc/systemd/system/${unit}`, join(wants, unit));
  const lent = !machine.bare && machine.role !== 'blank'; // the blank one may become a bare one
  const folders = lent ? [projectAt, '/var/lib/vservers', '/usr/local/bin'] : machine.bare ? [mirrorAt] : [];
  for (const folder of folders) await mkdir(join(tree, folder), { recursive: true });
  if (lent) await symlink(`${projectAt}/vs`, join(tree, 'usr/local/bin/vs'));
  // only what is new or the VM's own: a directory that is there keeps its mode and its owner
  await run(['tar', '--owner=0', '--group=0', '-cf', file, '--no-recursion', '-C', tree, '-T', '-'], {
    input: (
      await run(['find', '.', '-mindepth', '1', '(', '-not', '-type', 'd', '-o', '-empty', ')'], {
        cwd: tree,
      })
    ).stdout,
  });
  await truncate(file, SEED_BYTES); // what follows the end of a tar is no part of it
  await rm(tree, { recursive: true });
}
