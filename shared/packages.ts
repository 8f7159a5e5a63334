import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';
import { renameDurable, syncFile } from './store.ts';

/** Where apt keeps what it fetched. */
export const APT = '/var/cache/apt/archives';

/** What is on its way to be the package `file` of a directory. */
export const comingOf = (directory: string, file: string): string => join(directory, `.${file}.coming`);

/** What a Debian package says of itself, '' where it says nothing. Throws RunError for what is none. */
export async function packageFields(
  path: string,
): Promise<{ name: string; version: string; architecture: string }> {
  const { stdout } = await run(['dpkg-deb', '--field', path, 'Package', 'Version', 'Architecture']);
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stdout)?.[1] ?? '';
  return { name: field('Package'), version: field('Version'), architecture: field('Architecture') };
}

/** Keeps a package as `file` of a directory that only root looks into: all of it is on the disk before it has its name. */
export async function keepPackage(path: string, directory: string, file: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const coming = comingOf(directory, file);
  await rm(coming, { force: true }); // of a try that was cut off
  await copyFile(path, coming);
  await sealPackage(directory, file);
}

/** What came as `file` gets its name. */
export async function sealPackage(directory: string, file: string): Promise<void> {
  const coming = comingOf(directory, file);
  await chmod(coming, 0o600);
  await syncFile(coming);
  await renameDurable(coming, join(directory, file));
}
