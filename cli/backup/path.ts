import { lstat, mkdir } from 'node:fs/promises';
import { basename, join, normalize, resolve } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import type { Client } from '../client.ts';
import { listOf, newestGood, pick } from './words.ts';

/** The place below `root` of a path inside a vserver; no symlink of the vserver is followed on the way. Throws VsError. */
export async function placeIn(root: string, path: string): Promise<string> {
  const parts = normalize(`/${path}`).split('/').filter(Boolean);
  let at = root;
  for (const [index, part] of parts.entries()) {
    at = join(at, part);
    const found = await lstat(at).catch(() => undefined);
    const so = `/${parts.slice(0, index + 1).join('/')}`;
    if (!found) throw new VsError('not-found', `The backup has no ${so}.`);
    if (index < parts.length - 1 && !found.isDirectory())
      throw new VsError(
        'refused',
        found.isSymbolicLink()
          ? `${so} is a symbolic link in the backup: name what it leads to.`
          : `${so} is no directory in the backup.`,
      );
  }
  return at;
}

/** Copies a file or directory of a backup into a directory of this machine, which must be the master; owners, times and links are kept. */
export async function restorePath(
  client: Client,
  args: { name: string; id?: string; at?: number; repository?: string },
  options: { path: string; to: string; json: boolean },
): Promise<void> {
  const { name: vserver, repository } = args;
  const where = repository === undefined ? {} : { repository };
  const found =
    args.id === undefined
      ? newestGood(await listOf(client, vserver, where), vserver, args.at)
      : await pick(client, vserver, args.id, where);
  const offer = await client.request('master', 'repository.offer', {
    repository: found.repository,
    vserver,
    id: found.id,
  });
  const root = join(offer.tree, 'rootfs');
  if (!(await lstat(root).catch(() => undefined)))
    throw new VsError(
      'refused',
      `The backup lies on the master, in ${offer.tree}, which is not to be read here: run this on the master, as root.`,
    );
  const from = await placeIn(root, options.path);
  const directory = resolve(options.to);
  await mkdir(directory, { recursive: true });
  const to = join(directory, from === root ? vserver : basename(from));
  if (await lstat(to).catch(() => undefined))
    throw new VsError('conflict', `${to} is there already: nothing was overwritten. Name another directory.`);
  await run(['cp', '-a', '--no-target-directory', '--', from, to], { timeoutMs: 24 * 3_600_000 });
  if (options.json) console.log(JSON.stringify({ backup: found.id, path: options.path, to }));
  else console.log(`${options.path} of ${vserver} as of ${found.id} is in ${to}.`);
}
