import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VsError } from '../../../shared/errors.ts';
import { unifiedTop } from './capabilities.ts';
import { placesOf } from './cgroups.ts';
import type { Layout } from './plan.ts';

/**
 * What a vserver uses of memory above `bytes` is taken back first, and slows it down (cgroup v2: memory.high; v1 can only do
 * the first: memory.soft_limit_in_bytes); nothing of it is killed for that. Null: no more.
 */
export async function press(pid: number, { version }: Layout, bytes: number | null): Promise<void> {
  const place = placesOf(await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => ''), unifiedTop());
  const directory = version.memory === undefined ? undefined : place('memory', version.memory);
  if (directory === undefined)
    throw new VsError(
      'refused',
      'the memory of this vserver cannot be held back: its host has no cgroup of memory',
    );
  const [file, none] = version.memory === 2 ? ['memory.high', 'max'] : ['memory.soft_limit_in_bytes', '-1'];
  await writeFile(join(directory, file), String(bytes ?? none));
}
