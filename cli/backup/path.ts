import { randomUUID } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { basename, dirname, join, normalize, resolve } from 'node:path';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import type { Client } from '../client.ts';
import { restoreInto } from './into.ts';
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

interface PathOptions {
  paths: string[];
  to?: string;
  into: boolean;
  yes: boolean;
  aside: string;
  json: boolean;
}

/** Copies files or directories of a backup, with owners, times and links: into a directory of this machine, which must be the master, or back into the vserver. */
export async function restorePath(
  client: Client,
  args: { name: string; id?: string; at?: number; repository?: string; host?: string },
  options: PathOptions,
): Promise<void> {
  const { name: vserver, repository } = args;
  const where = repository === undefined ? {} : { repository };
  const found =
    args.id === undefined
      ? newestGood(await listOf(client, vserver, where), vserver, args.at)
      : await pick(client, vserver, args.id, where);
  const asked = { repository: found.repository, vserver, id: found.id };
  const offer = await client.request('master', 'repository.offer', asked);
  const id = found.id;
  const { tree } = offer;
  if (tree !== undefined)
    return restoreFrom(
      client,
      { trees: options.paths.map(() => tree), id, at: offer.host ?? 'master' },
      args,
      options,
    );
  // one that lies nowhere as a tree: what is asked for is brought onto the master for this, and goes again
  const sagas = options.paths.map(() => `files-${randomUUID()}`);
  try {
    const trees: string[] = [];
    for (const [index, saga] of sagas.entries()) {
      const path = normalize(`/${options.paths[index] ?? ''}`);
      const part = path === '/' ? {} : { path };
      const words = { ...asked, saga, ...part };
      trees.push(
        (await client.request('master', 'repository.fetch', words, { timeoutMs: 24 * 3_600_000 })).tree,
      );
    }
    await restoreFrom(client, { trees, id, at: 'master' }, args, options);
  } finally {
    for (const saga of sagas)
      await client.request('master', 'repository.release', { repository: found.repository, saga });
  }
}

/** The same, of trees on this machine: one for each path. */
async function restoreFrom(
  client: Client,
  { trees, id, at }: { trees: string[]; id: string; at: string },
  { name: vserver, host }: { name: string; host?: string },
  options: PathOptions,
): Promise<void> {
  const roots = trees.map((tree) => join(tree, 'rootfs'));
  for (const root of roots)
    if (!(await lstat(root).catch(() => undefined)))
      throw new VsError(
        'refused',
        `The backup lies on ${at === 'master' ? 'the master' : at}, in ${dirname(root)}, which is not to be read here: run this there, as root.`,
      );
  const pieces = await Promise.all(
    options.paths.map(async (path, index) => ({
      from: await placeIn(roots[index] ?? '', path),
      path: normalize(`/${path}`).replace(/(.)\/$/, '$1'),
    })),
  );
  if (options.into) {
    for (const { from, path } of pieces) await requirePushable(from, path, vserver);
    return restoreInto(client, { name: vserver, id, pieces }, { ...options, host });
  }
  const directory = resolve(options.to ?? '.');
  await mkdir(directory, { recursive: true });
  const places = pieces.map((one) => ({
    ...one,
    to: join(directory, one.path === '/' ? vserver : basename(one.from)),
  }));
  for (const [index, { to }] of places.entries())
    if (
      places.findIndex((other) => other.to === to) < index ||
      (await lstat(to).catch(() => undefined)) !== undefined
    )
      throw new VsError(
        'conflict',
        `${to} is there already: nothing was overwritten. Name another directory.`,
      );
  for (const { from, to } of places)
    await run(['cp', '-a', '--no-target-directory', '--', from, to], { timeoutMs: 24 * 3_600_000 });
  const done = places.map(({ path, to }) => ({ backup: id, path, to }));
  if (options.json) console.log(JSON.stringify(done.length === 1 ? done[0] : done));
  else for (const { path, to } of done) console.log(`${path} of ${vserver} as of ${id} is in ${to}.`);
}

/** What goes into a vserver by itself: a file or a directory, and not all of it. Throws VsError 'refused'. */
async function requirePushable(from: string, path: string, vserver: string): Promise<void> {
  if (path === '/') throw new VsError('refused', `For all of it: vs backup restore ${vserver} --over`);
  const found = await lstat(from);
  if (!found.isFile() && !found.isDirectory())
    throw new VsError(
      'refused',
      `${path} is neither a file nor a directory in the backup: restore the directory that it is in.`,
    );
}
