import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Repository } from '../../config/repositories.ts';
import { loadRepositories } from '../../config/repositories.ts';
import type { Settings } from '../../config/settings.ts';
import { type MasterArchive, archiveFile } from '../../shared/contract/master-archive.ts';
import { VsError } from '../../shared/errors.ts';
import { isMounted } from '../../shared/mount.ts';
import { removeFileDurable } from '../../shared/store.ts';

/** Where the archives of the master lie in a repository of kind tree: no name of a vserver begins with a dot. */
export const archivesOf = (repository: string): string => join(repository, '.master');

/** The moment (epoch ms) that the name of an archive tells. */
export function takenOf(file: string): number {
  const [, year, month, day, hour, minute, second] =
    /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(file) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** The archives in a directory, the newest first; one that is there is whole. */
async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  return entries
    .filter((one) => archiveFile.safeParse(one).success)
    .toSorted()
    .toReversed();
}

/**
 * The newest archive (until `at`, epoch ms) of a repository's path, or of a directory with archives. Throws VsError
 * 'not-found' with what there is.
 */
export async function newestArchive(path: string, at?: number): Promise<string> {
  const places = [archivesOf(path), path];
  const found: string[] = [];
  for (const place of places) for (const file of await filesIn(place)) found.push(join(place, file));
  const chosen = found.find((file) => at === undefined || takenOf(file) <= at);
  if (chosen !== undefined) return chosen;
  const oldest = found.at(-1);
  throw new VsError(
    'not-found',
    oldest === undefined
      ? `there is no archive of a master in ${archivesOf(path)}, and none in ${path}; expected the path of a repository, or a directory with files such as vs-master-20261127T030000Z.tar.gz`
      : `no archive of a master in ${path} is so old; the oldest is ${oldest}`,
  );
}

/** A repository that can keep archives now. Throws VsError 'not-found' or 'refused'. */
export async function repositoryFor(
  settings: Pick<Settings, 'CONFIG_DIR' | 'BACKUP_DIR' | 'STATE_DIR'>,
  name: string,
): Promise<Repository> {
  const found = (await loadRepositories(settings)).find((one) => one.name === name);
  if (!found) throw new VsError('not-found', `there is no repository ${name} in repositories.conf`);
  if (found.kind === 'tree' && found.host !== undefined)
    throw new VsError(
      'refused',
      `repository ${name} is on ${found.host}, and archives of the master are kept on the master itself; name another one in the line @master of backup.conf`,
    );
  if (found.kind !== 'tree')
    throw new VsError(
      'refused',
      `repository ${name} is of kind ${found.kind}, and archives of the master are kept in one of kind tree; name another one in the line @master of backup.conf`,
    );
  if (found.mount && !(await isMounted(found.path)))
    throw new VsError(
      'refused',
      `nothing is mounted at ${found.path}, where repository ${name} is: mount it`,
    );
  return found;
}

/** The archives of a repository, the newest first. */
export async function listArchives({ name, path }: Repository): Promise<MasterArchive[]> {
  const directory = archivesOf(path);
  const files = await filesIn(directory);
  return Promise.all(
    files.map(async (file) => ({
      repository: name,
      file,
      taken: takenOf(file),
      bytes: (await stat(join(directory, file))).size,
    })),
  );
}

/** The directory of archives, for root alone; what an interrupted one has left there goes: it has keys in it. */
export async function readyDirectory({ path }: Repository): Promise<string> {
  const directory = archivesOf(path);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (((await stat(directory)).mode & 0o077) !== 0)
    throw new VsError(
      'refused',
      `${directory} is open to others than root, and archives have the keys of the pool: chmod 700 ${directory}`,
    );
  for (const entry of await readdir(directory))
    if (entry.startsWith('.vs-master-')) await rm(join(directory, entry), { recursive: true, force: true });
  return directory;
}

/** Destroys one. */
export async function removeArchive({ path }: Repository, file: string): Promise<boolean> {
  const place = join(archivesOf(path), file);
  if (!(await stat(place).catch(() => undefined))) return false;
  await removeFileDurable(place);
  return true;
}
