import { mkdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type Repository, isElsewhere, loadRepositories } from '../../config/repositories.ts';
import type { Settings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { isMounted } from '../../shared/mount.ts';

const BTRFS_SUPER_MAGIC = 0x9123683e; // statfs(2)

/** Where the things of a repository lie. */
export const pathsIn = ({ path }: Repository) => ({
  vserver: (name: string) => join(path, name),
  backup: (name: string, id: string) => join(path, name, id),
  tree: (name: string, id: string) => join(path, name, id, 'tree'),
  record: (name: string, id: string) => join(path, name, id, 'backup.json'),
  manifest: (name: string, id: string) => join(path, name, id, 'manifest'),
  partials: join(path, '.partial'),
  partial: (name: string, saga: string) => join(path, '.partial', `${name}.${saga}`),
});
/** The tree of a backup that can be shown to people: where it lies, or where it was brought for that. */
export const shownTree = (repository: Repository, vserver: string, id: string): string =>
  repository.kind === 'tree'
    ? pathsIn(repository).tree(vserver, id)
    : join(repository.path, '.shown', vserver, id, 'tree');
export type RepositoryPaths = ReturnType<typeof pathsIn>;

/** A repository that can be used. Throws VsError 'not-found', or 'refused' where its file system is not mounted. */
export async function repositoryOf(
  settings: Pick<Settings, 'CONFIG_DIR' | 'BACKUP_DIR' | 'STATE_DIR'>,
  name: string,
): Promise<Repository> {
  const all = await loadRepositories(settings);
  const found = all.find((one) => one.name === name);
  if (!found)
    throw new VsError(
      'not-found',
      `there is no repository ${name}; there ${all.length === 1 ? 'is' : 'are'} ${all.map((one) => one.name).join(', ')} (repositories.conf)`,
    );
  if (!isElsewhere(found)) await requireUsable(found);
  return found;
}

/** A mount that is away is never filled beneath; a plain directory is made. */
export async function requireUsable({ name, path, mount }: Repository): Promise<void> {
  if (mount && !(await isMounted(path)))
    throw new VsError('refused', `nothing is mounted at ${path}, where repository ${name} is: mount it`);
  await mkdir(path, { recursive: true, mode: 0o700 });
  if ((((await stat(path)).mode ?? 0) & 0o077) !== 0 && !mount)
    throw new VsError(
      'refused',
      `${path}, where repository ${name} is, is open to others than root, and backups have their files as they were: chmod 700 ${path}`,
    );
}

/** How backups there share what did not change, and the space of its file system (bytes). */
export async function storageOf({ path }: Repository) {
  const { type, bsize, bavail, blocks } = await statfs(path);
  const shares = type === BTRFS_SUPER_MAGIC ? ('snapshots' as const) : ('links' as const);
  return { shares, free: bsize * bavail, total: bsize * blocks };
}

/** The space where its backups are (bytes), where that can be known: not of a place that is reached through a server. */
export async function spaceOf(
  repository: Repository,
): Promise<Partial<Awaited<ReturnType<typeof storageOf>>>> {
  if (repository.kind === 'tree') return storageOf(repository);
  const { location } = repository;
  if (!location.startsWith('/')) return {};
  const found = await statfs(location).catch(() => undefined); // it is made by the first backup
  return found ? { free: found.bsize * found.bavail, total: found.bsize * found.blocks } : {};
}
