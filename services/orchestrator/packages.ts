import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Of } from '../../shared/checksum.ts';
import { MOST_PACKAGE, type PackageInfo, packageFile, toolsVersion } from '../../shared/contract/update.ts';
import { VsError } from '../../shared/errors.ts';
import { APT, keepPackage, packageFields } from '../../shared/packages.ts';
import { exists } from '../../shared/store.ts';
import { compareVersions, debianVersion, packageName } from '../../shared/versions.ts';

/** What a package says of itself. Throws VsError when it is none of vs-tools, or too large. */
async function fieldsOf(path: string): Promise<{ version: string; architecture: string }> {
  const found = await lstat(path).catch((error: Error) => {
    throw new VsError('usage', `${path} cannot be read: ${error.message}`, { cause: error });
  });
  if (!found.isFile()) throw new VsError('usage', `${path} is no file`);
  if (found.size > MOST_PACKAGE)
    throw new VsError(
      'refused',
      `${path} has ${found.size} bytes; no package of vs-tools has more than ${MOST_PACKAGE}`,
    );
  const of = await packageFields(path).catch((error: unknown) => {
    throw new VsError('refused', `${path} is no Debian package: ${(error as Error).message}`, {
      cause: error,
    });
  });
  if (of.name !== 'vs-tools')
    throw new VsError('refused', `${path} is a package of ${of.name.slice(0, 80)}, not of vs-tools`);
  return of;
}

/**
 * Takes a package into `directory`, from where it goes to hosts: of the version of the master, or of one before, to which hosts
 * go back. Answers its name there. Throws VsError.
 */
export async function takePackage(directory: string, path: string, version: string): Promise<string> {
  const of = await fieldsOf(path);
  const given = of.version.replace('~', '-');
  if (!toolsVersion.safeParse(given).success)
    throw new VsError(
      'refused',
      `${path} is vs-tools ${of.version.slice(0, 60)}, which is no version of ours`,
    );
  if (compareVersions(given, version) > 0)
    throw new VsError(
      'refused',
      `${path} is vs-tools ${of.version}, but the master is ${version}: upgrade the master first (docs/upgrade.md)`,
    );
  const file = packageFile.parse(packageName(given, of.architecture));
  await keepPackage(path, directory, file);
  return file;
}

/** The package of a version, kept here or by apt; undefined when there is none. Throws VsError when it is another one. */
export async function findPackage(
  directory: string,
  version: string,
  architecture: string,
  apt = APT,
): Promise<PackageInfo | undefined> {
  const file = packageName(version, architecture);
  if (!packageFile.safeParse(file).success) return undefined;
  const path = join(directory, file);
  if (!(await exists(path)) && (await exists(join(apt, file))))
    await takePackage(directory, join(apt, file), version);
  if (!(await exists(path))) return undefined;
  const of = await fieldsOf(path);
  if (of.version !== debianVersion(version) || of.architecture !== architecture)
    throw new VsError('refused', `${path} is vs-tools ${of.version} for ${of.architecture}: remove it`);
  return { file, version, bytes: (await lstat(path)).size, sha256: await sha256Of(path) };
}
