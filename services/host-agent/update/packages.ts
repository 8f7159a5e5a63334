import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Of } from '../../../shared/checksum.ts';
import { MOST_PACKAGE, type PackageInfo, packageFile } from '../../../shared/contract/update.ts';
import { VsError } from '../../../shared/errors.ts';
import { APT, keepPackage, packageFields } from '../../../shared/packages.ts';
import { debianVersion, packageName } from '../../../shared/versions.ts';
import { architecture } from './facts.ts';

/** Throws VsError 'refused' when anybody but root could change what lies there: it is installed as root. */
async function requireOwn(path: string): Promise<void> {
  const found = await lstat(path);
  if (found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0 || found.isSymbolicLink())
    throw new VsError(
      'refused',
      `${path} can be changed by others than root: chown root: it, and chmod go-w`,
    );
}

/** Throws VsError unless a file is the package that was promised, also by what is written in it. Answers its path. */
export async function requirePackage(directory: string, info: PackageInfo): Promise<string> {
  const path = join(directory, info.file);
  await requireOwn(directory);
  await requireOwn(path);
  const { size } = await lstat(path);
  if (size !== info.bytes || (await sha256Of(path)) !== info.sha256)
    throw new VsError(
      'refused',
      `${path} is not the package that the master sent: its checksum is another one`,
    );
  const of = await packageFields(path);
  const own = await architecture();
  if (of.name !== 'vs-tools' || of.version !== debianVersion(info.version) || of.architecture !== own)
    throw new VsError(
      'refused',
      `${path} is ${of.name} ${of.version} for ${of.architecture}, not vs-tools ${info.version} for ${own}`,
    );
  return path;
}

/** The package of a version on this host: kept by an update before, or by apt; then it is kept here from now on. */
export async function keptPackage(
  directory: string,
  version: string,
  processor: string,
  apt = APT,
): Promise<PackageInfo | undefined> {
  const file = packageName(version, processor);
  const path = join(directory, file);
  const sizeOf = (one: string) =>
    lstat(one).then(
      (found) => (found.isFile() && found.size <= MOST_PACKAGE ? found.size : undefined),
      () => undefined,
    );
  if ((await sizeOf(path)) === undefined && (await sizeOf(join(apt, file))) !== undefined)
    await keepPackage(join(apt, file), directory, file);
  const bytes = await sizeOf(path);
  if (bytes === undefined) return undefined;
  const info = { file, version, bytes, sha256: await sha256Of(path) };
  return requirePackage(directory, info).then(
    () => info,
    () => undefined, // a half one, or of another program
  );
}

/** Removes all packages but one. */
export async function dropOthers(directory: string, kept: string): Promise<void> {
  for (const entry of await readdir(directory).catch(() => [])) {
    const file = entry.replace(/^\.(.*)\.coming$/, '$1');
    if (entry !== kept && packageFile.safeParse(file).success)
      await rm(join(directory, entry), { force: true });
  }
}
