import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { MOST_PACKAGE, type PackageInfo, packageFile, toolsVersion } from '../../shared/contract/update.ts';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { renameDurable } from '../../shared/store.ts';
import { compareVersions, debianVersion, packageName } from '../../shared/versions.ts';

/** Where apt keeps what it fetched. */
const APT = '/var/cache/apt/archives';

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

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
  const { stdout } = await run(['dpkg-deb', '--field', path, 'Package', 'Version', 'Architecture']).catch(
    (error: unknown) => {
      throw new VsError('refused', `${path} is no Debian package: ${(error as Error).message}`, {
        cause: error,
      });
    },
  );
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stdout)?.[1] ?? '';
  if (field('Package') !== 'vs-tools')
    throw new VsError('refused', `${path} is a package of ${field('Package').slice(0, 80)}, not of vs-tools`);
  return { version: field('Version'), architecture: field('Architecture') };
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
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const half = join(directory, `.${file}.coming`);
  await rm(half, { force: true });
  await copyFile(path, half);
  await chmod(half, 0o600);
  const handle = await open(half, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await renameDurable(half, join(directory, file));
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
  const isThere = (path: string) =>
    lstat(path).then(
      () => true,
      () => false,
    );
  const path = join(directory, file);
  if (!(await isThere(path)) && (await isThere(join(apt, file))))
    await takePackage(directory, join(apt, file), version);
  if (!(await isThere(path))) return undefined;
  const of = await fieldsOf(path);
  if (of.version !== debianVersion(version) || of.architecture !== architecture)
    throw new VsError('refused', `${path} is vs-tools ${of.version} for ${of.architecture}: remove it`);
  return { file, version, bytes: (await lstat(path)).size, sha256: await sha256Of(path) };
}
