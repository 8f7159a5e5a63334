import { constants } from 'node:fs';
import { type FileHandle, open, opendir, readlink } from 'node:fs/promises';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
/** open(2): the name alone. Whatever it is, a device too, nothing happens to it. */
const O_PATH = 0o10000000;
const MOST_LINKS = 20;
const MOST_PARTS = 100;
const MOST_ENTRIES = 2000;

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');
/** A name in an open directory: the kernel looks at that very directory, whatever its path leads to meanwhile (openat). */
const at = (directory: FileHandle, name: string): string => `/proc/self/fd/${directory.fd}/${name}`;

/**
 * Opens what a path is to the guest, with its symbolic links followed as the guest would: none leads out of `root`, `..` neither,
 * and what the guest swaps meanwhile is not followed. Of the last name only the place is opened (O_PATH).
 */
async function openAsGuest(root: string, path: string): Promise<FileHandle | undefined> {
  const stack = [await open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)];
  const waiting = partsOf(path);
  let links = 0;
  let steps = 0;
  try {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      if (++steps > MOST_PARTS) return undefined;
      const directory = stack.at(-1) as FileHandle;
      if (part === '..') {
        if (stack.length > 1) await stack.pop()?.close();
        continue;
      }
      const target = await readlink(at(directory, part)).catch(() => undefined);
      if (target !== undefined) {
        if (++links > MOST_LINKS) return undefined;
        if (target.startsWith('/')) for (const one of stack.splice(1)) await one.close();
        waiting.unshift(...partsOf(target));
        continue;
      }
      if (waiting.length === 0) return await open(at(directory, part), O_PATH | O_NOFOLLOW);
      stack.push(await open(at(directory, part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    }
    const last = stack.pop(); // of "/" and of what ends in ".."
    return last;
  } catch {
    return undefined; // it is not there, or no directory, or has just been swapped
  } finally {
    for (const one of stack) await one.close().catch(() => undefined);
  }
}

/** A plain file as the guest sees it; undefined when there is none, or it is bigger than `most` bytes. */
export async function readAsGuest(root: string, path: string, most: number): Promise<Buffer | undefined> {
  const place = await openAsGuest(root, path);
  if (!place) return undefined;
  try {
    const found = await place.stat();
    if (!found.isFile() || found.size > most) return undefined;
    const file = await open(`/proc/self/fd/${place.fd}`, O_RDONLY);
    try {
      const room = Buffer.alloc(most);
      const { bytesRead } = await file.read(room, 0, most, 0);
      return room.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  } finally {
    await place.close();
  }
}

/** When a plain file of the guest was changed last, ms; undefined when there is none. */
export async function changedAsGuest(root: string, path: string): Promise<number | undefined> {
  const place = await openAsGuest(root, path);
  if (!place) return undefined;
  try {
    const found = await place.stat();
    return found.isFile() ? found.mtimeMs : undefined;
  } catch {
    return undefined;
  } finally {
    await place.close();
  }
}

async function namesIn(root: string, path: string): Promise<string[]> {
  const place = await openAsGuest(root, path);
  if (!place) return [];
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(`/proc/self/fd/${place.fd}`)) {
      if (names.push(name) >= MOST_ENTRIES) break;
    }
  } catch {
    // no directory, or gone
  } finally {
    await place.close();
  }
  return names.toSorted();
}
const fitting = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
    'su',
  );

/** The paths of the guest that fit a pattern, in which `*` stands for any part of a name that does not begin with a dot; at most `most`. */
export async function pathsAsGuest(root: string, pattern: string, most: number): Promise<string[]> {
  let paths = [''];
  for (const part of partsOf(pattern)) {
    if (!part.includes('*')) {
      paths = paths.map((path) => `${path}/${part}`);
      continue;
    }
    const wanted = fitting(part);
    const next: string[] = [];
    for (const path of paths) {
      for (const name of await namesIn(root, path))
        if (!name.startsWith('.') && wanted.test(name)) next.push(`${path}/${name}`);
      if (next.length >= most) break;
    }
    paths = next.slice(0, most);
  }
  return paths;
}
