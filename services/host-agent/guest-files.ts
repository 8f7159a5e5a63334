import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';

const { O_DIRECTORY, O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_CREAT, O_EXCL, O_WRONLY } = constants;
const MOST_BYTES = 65_536;

/** Opens a directory of a guest's tree without following any symbolic link of the guest. */
async function openInside(rootfs: string, path: string): Promise<FileHandle> {
  let handle = await open(rootfs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  for (const part of path.split('/').filter(Boolean)) {
    const parent = handle;
    try {
      handle = await open(`/proc/self/fd/${parent.fd}/${part}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } catch (error) {
      throw new VsError(
        'refused',
        `/${path} of the guest is no plain directory, so nothing is written there`,
        {
          cause: error,
        },
      );
    } finally {
      await parent.close();
    }
  }
  return handle;
}

/** Makes a directory of a guest's tree where there is none, of the guest's root; a link of the guest is not followed. */
export async function makeGuestDirectory(rootfs: string, path: string, mode: number): Promise<void> {
  const parts = path.split('/').filter(Boolean);
  const last = parts.pop() ?? '';
  const parent = await openInside(rootfs, parts.join('/'));
  try {
    await mkdir(`/proc/self/fd/${parent.fd}/${last}`, { mode }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await parent.close();
  }
}

/** Writes a file in a guest's tree in the place of what was there, also of a symbolic link that leads out: the old or the new one is whole. */
export async function writeGuestFile(
  rootfs: string,
  path: string,
  text: string,
  mode = 0o644,
): Promise<void> {
  const parts = path.split('/').filter(Boolean);
  const file = parts.pop() ?? '';
  const directory = await openInside(rootfs, parts.join('/'));
  try {
    const inside = (one: string) => `/proc/self/fd/${directory.fd}/${one}`;
    const temporary = `.${file}.vs-new`;
    await unlink(inside(temporary)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error; // of a life that was cut off
    });
    const handle = await open(inside(temporary), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(inside(temporary), inside(file));
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The text of a file in a guest's tree, at most 64 kB; undefined when there is no plain file of that size. */
export async function readGuestFile(rootfs: string, path: string): Promise<string | undefined> {
  const parts = path.split('/').filter(Boolean);
  const file = parts.pop() ?? '';
  const directory = await openInside(rootfs, parts.join('/')).catch(() => undefined);
  if (!directory) return undefined;
  try {
    // a fifo of the guest must not make us wait
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    const handle = await open(`/proc/self/fd/${directory.fd}/${file}`, flags).catch(() => undefined);
    if (!handle) return undefined;
    try {
      const found = await handle.stat();
      return found.isFile() && found.size <= MOST_BYTES ? await handle.readFile('utf8') : undefined;
    } finally {
      await handle.close();
    }
  } finally {
    await directory.close();
  }
}

/** Is there a plain file that may be executed in a guest's tree? A link of the guest is not followed. */
export async function isGuestProgram(rootfs: string, path: string): Promise<boolean> {
  const parts = path.split('/').filter(Boolean);
  const file = parts.pop() ?? '';
  const directory = await openInside(rootfs, parts.join('/')).catch(() => undefined);
  if (!directory) return false;
  try {
    const found = await lstat(`/proc/self/fd/${directory.fd}/${file}`).catch(() => undefined);
    return found?.isFile() === true && (found.mode & 0o111) !== 0;
  } finally {
    await directory.close();
  }
}

/** The names in a directory of a guest's tree; a directory that is missing has none. */
export async function guestNames(rootfs: string, path: string): Promise<string[]> {
  const directory = await openInside(rootfs, path).catch(() => undefined);
  if (!directory) return [];
  try {
    return await readdir(`/proc/self/fd/${directory.fd}`);
  } finally {
    await directory.close();
  }
}

/** Removes the files of a guest's directory whose names match; a directory that is missing has none. */
export async function removeGuestFiles(rootfs: string, path: string, pattern: RegExp): Promise<void> {
  const directory = await openInside(rootfs, path).catch(() => undefined);
  if (!directory) return;
  try {
    const inside = `/proc/self/fd/${directory.fd}`;
    for (const name of await readdir(inside)) if (pattern.test(name)) await unlink(`${inside}/${name}`);
  } finally {
    await directory.close();
  }
}
