import { existsSync, openSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { run, start } from '../../shared/run.ts';
import type { Disks } from './machine.ts';
import type { Keys } from './units.ts';

const GiB = 1024 ** 3;
/** All VMs have disks of these sizes: one may go on from the state of another. */
const vserversBytes = 2 * GiB;
const spareBytes = 8 * GiB;
/** The disk of the project. */
export const LAYER_BYTES = 700 * 1024 ** 2;

/** Keys of a run: who may come in, and how the VMs prove who they are. */
export async function makeKeys(directory: string): Promise<Keys> {
  for (const name of ['key', 'host_key'])
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'vslab', '-f', join(directory, name)]);
  const read = (name: string) => readFile(join(directory, name), 'utf8');
  const hostPublic = await read('host_key.pub');
  await writeFile(join(directory, 'known_hosts'), `vslab-vm ${hostPublic}`);
  return { authorized: await read('key.pub'), host: await read('host_key'), hostPublic };
}

/** Starts a process of the run that goes on by itself; its pid file lies in the directory. */
export async function launch(directory: string, name: string, argv: string[]): Promise<void> {
  const log = openSync(join(directory, `${name}.log`), 'a', 0o600);
  const child = start(argv, { stdio: ['ignore', log, log] });
  child.on('error', () => undefined);
  child.unref();
  await writeFile(join(directory, `${name}.pid`), `${child.pid ?? 0}\n`);
}

async function empty(file: string, bytes: number): Promise<string> {
  await writeFile(file, '');
  await truncate(file, bytes);
  return file;
}

/** The disks of one VM: its own over those of the image, one for vservers, and an empty one. */
export async function makeDisks(
  directory: string,
  name: string,
  below: string,
  layer?: string,
): Promise<Disks> {
  const at = (end: string) => join(directory, `${name}.${end}`);
  await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', below, at('qcow2')]);
  const vservers = await empty(at('vservers'), vserversBytes);
  await run(['mkfs.ext4', '-q', '-F', '-O', 'project,quota', '-m', '0', vservers]);
  return {
    root: at('qcow2'),
    seed: at('tar'),
    layer: layer ?? (await empty(at('layer'), LAYER_BYTES)),
    vservers,
    spare: await empty(at('spare'), spareBytes),
  };
}
const textOf = (directory: string, name: string): Promise<string> =>
  readFile(join(directory, name), 'utf8').catch(() => '');

/** How many times a VM has said `mark` on its console. */
export const said = async (directory: string, name: string, mark: string): Promise<number> =>
  (await textOf(directory, `${name}.console`)).split(mark).length - 1;

/** Waits until a VM has said `mark` on its console more than `before` times; ms. */
export async function waitForMark(
  { directory, name }: { directory: string; name: string },
  mark: string,
  before: number,
  within: number,
): Promise<void> {
  const end = Date.now() + within;
  while ((await said(directory, name, mark)) <= before) {
    const pid = (await textOf(directory, `${name}.pid`)).trim();
    if (!existsSync(`/proc/${pid}/exe`))
      throw new VsError(
        'failed',
        `QEMU of the VM ${name} has ended: ${(await textOf(directory, `${name}.log`)).slice(-600)}`,
      );
    if (Date.now() > end)
      throw new VsError(
        'unavailable',
        `the VM ${name} did not come up within ${within / 1000} s; the end of its console: ${(await textOf(directory, `${name}.console`)).slice(-600)}`,
      );
    await sleep(200);
  }
}
