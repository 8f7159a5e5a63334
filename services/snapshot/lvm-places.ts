import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readFile, readdir, readlink, rm, rmdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { plainPath } from '../../shared/mount.ts';
import { run } from '../../shared/run.ts';
import { exists, syncDirectory } from '../../shared/store.ts';

/** A name for a volume that nobody has. */
export const newVolumeName = (): string => `vs-${randomBytes(6).toString('hex')}`;
const linkTarget = /\/\.volumes\/(vs-[0-9a-f]{12})(?:\/|$)/;

/** The volume that a tree lies on: a tree is a symbolic link to where that is mounted. Undefined for what is no such link. */
export const volumeOf = async (path: string): Promise<string | undefined> =>
  linkTarget.exec(await readlink(path).catch(() => ''))?.[1];

/** Where volumes are mounted. */
export const placeOf = (directory: string, name: string): string => join(directory, '.volumes', name);

/** The link comes before its volume, and is removed after it: so no volume is ever without one. */
export async function link(path: string, target: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await symlink(target, path);
  await syncDirectory(dirname(path));
}

/** When a tree was made: the time of its link, which no rename changes. */
export const linkedAt = async (path: string): Promise<number> => (await lstat(path)).mtimeMs;

const entries = async (directory: string): Promise<string[]> =>
  (await readdir(directory).catch(() => [] as string[])).map((entry) => join(directory, entry));
const directories = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(directory, entry.name));

/** Every place of a host that can have a tree, and the volume that it leads to. */
export async function links(directory: string): Promise<{ path: string; volume: string }[]> {
  const at = (name: string) => join(directory, name);
  const inEach = async (among: string[]) => (await Promise.all(among.map(entries))).flat();
  const kept = await Promise.all((await directories(at('.kept'))).map(directories));
  const places = [
    ...(await entries(directory)),
    ...(await entries(at('.trash'))),
    ...(await inEach(await directories(at('.staging')))),
    ...(await inEach(await directories(at('.snapshots')))),
    ...kept.flat().map((one) => join(one, 'tree')),
  ];
  const found = await Promise.all(
    places.map(async (path) => ({ path, volume: (await volumeOf(path)) ?? '' })),
  );
  return found.filter((one) => one.volume !== '');
}

/** Snapshots are mounted read-only, wherever they are used. */
export const isSnapshotPlace = (directory: string, path: string): boolean =>
  ['.snapshots', '.kept'].some((one) => path.startsWith(`${join(directory, one)}/`));

interface Seen {
  device: string;
  root: string;
  place: string;
}
/** The mounts of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export const mountsIn = (mountinfo: string): Seen[] =>
  mountinfo
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [, , device = '', root = '', place = ''] = line.split(' ');
      return { device, root: plainPath(root), place: plainPath(place) };
    });

/** Where else the file system that is mounted at a place can be seen: where a vserver runs from it, or people look into it. */
export function otherMounts(mountinfo: string, place: string): string[] {
  const all = mountsIn(mountinfo);
  const own = all.find((one) => one.place === place && one.root === '/');
  return own
    ? all.filter((one) => one.device === own.device && one.place !== place).map((one) => one.place)
    : [];
}
export const seenElsewhere = async (place: string): Promise<string[]> =>
  otherMounts(await readFile('/proc/self/mountinfo', 'utf8'), place);

/** Is there a file system at a place of volumes? */
export const isPlaced = async (place: string): Promise<boolean> =>
  mountsIn(await readFile('/proc/self/mountinfo', 'utf8')).some((one) => one.place === place);

export async function mountAt(device: string, place: string, options: string): Promise<void> {
  await mkdir(dirname(place), { recursive: true, mode: 0o711 });
  await mkdir(place, { recursive: true, mode: 0o711 });
  if (!(await isPlaced(place))) await run(['mount', '-o', options, device, place], { timeoutMs: 600_000 });
}

/** Ends the mount of a volume, and those that lead into it. */
export async function unmountFrom(place: string): Promise<void> {
  for (const other of await seenElsewhere(place)) await run(['umount', '-l', other], { okCodes: [0, 32] });
  if (await isPlaced(place)) await run(['umount', place], { timeoutMs: 600_000 });
  if (await exists(place)) await rmdir(place);
}

/** Takes a link away, durably; one that somebody else has taken away meanwhile is no fault. */
export async function unlinkTree(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}
