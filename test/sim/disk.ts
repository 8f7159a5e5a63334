import { type Directory, type File, type Inode, fault } from './inode.ts';
import type { Random } from './loop.ts';
import { type Change, openNames } from './names.ts';

/** What the rest uses of a disk. */
export interface Disk {
  find(path: string, follow?: boolean): Inode | undefined;
  put(path: string, after: Inode | undefined): void;
  make(path: string, text: string): File;
  write(file: File, text: string, path: string): void;
  copyOf(inode: Inode, shared: boolean, subvolume?: boolean): Inode;
  directory(subvolume?: boolean): Directory;
  /** Grows with every change. */
  version(): number;
  /** Grows with every change of who owns, locks and has which vserver. */
  placed(): number;
  syncFile(file: File): void;
  syncDirectory(inode: Directory): void;
  syncAll(): void;
  syncTree(inode: Inode): void;
  commitAll(): void;
  makeDirectories(path: string): void;
  rename(from: string, to: string): void;
  list(path: string): [string, Inode][];
  text(path: string): string | undefined;
  clone(): Disk;
  cut(random: Random): void;
}

/** Where it is said who owns a vserver and who has it locked, and where vservers are in their place. */
const PLACES = ['/var/lib/vs-tools/owned', '/var/lib/vs-tools/locks', '/var/lib/vservers/'];
const isPlace = (path: string): boolean =>
  PLACES.some((place) => path.startsWith(place)) && !path.startsWith('/var/lib/vservers/.');

const split = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');

/** A path in its parts; the same few hundred are asked for again and again. */
interface Parts {
  above: string;
  name: string;
  /** Its last part is the name of something. */
  isNamed: boolean;
  inMemory: boolean;
  isPlace: boolean;
  all: string[];
}
const MOST_PATHS = 20_000;
const known = new Map<string, Parts>();
function partsOf(path: string): Parts {
  let parts = known.get(path);
  if (!parts) {
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    parts = {
      above: path.slice(0, cut),
      name,
      isNamed: cut > 0 && name !== '' && name !== '.',
      inMemory: path.startsWith('/run/') || path === '/run',
      isPlace: isPlace(path),
      all: split(path),
    };
    if (known.size > MOST_PATHS) known.clear();
    known.set(path, parts);
  }
  return parts;
}
let changes = 0;
/** Grows with every change of any disk. */
export const diskChanges = (): number => changes;

/** The kernel writes out by itself what is so old (ms). */
const WRITEBACK_MS = 35_000;

/**
 * A disk that forgets: names and contents that no fsync has made sure of may be lost or torn by a power cut. Names are
 * journaled: what is lost is the end of their history (the order holds, as on ext4 and btrfs), but for what an fsync of
 * a directory has made sure of.
 */
export function createDisk(now: () => number, start?: Directory): Disk {
  let numbers = 1000;
  const directory = (subvolume = false): Directory => ({
    kind: 'directory',
    ino: subvolume ? 256 : ++numbers,
    entries: new Map(),
    subvolume,
    mtime: now(),
  });
  const root = start ?? directory();
  /** In memory: /run. */
  let memory = directory();
  const names = openNames();
  const dirty = new Map<File, number>();
  let version = 0;
  let placed = 0;

  /** Where directories are, until one is moved or removed: paths are walked again and again. */
  const places = new Map<string, Directory>();
  function find(path: string, follow = true): Inode | undefined {
    const { above, name, isNamed } = partsOf(path);
    if (!isNamed) return walk(path, follow);
    let parent = places.get(above);
    if (!parent) {
      const there = walk(above, false);
      if (there?.kind !== 'directory') return undefined;
      places.set(above, (parent = there));
    }
    const inode = parent.entries.get(name);
    return inode?.kind === 'link' && follow ? find(inode.to) : inode;
  }
  function walk(path: string, follow: boolean): Inode | undefined {
    let at: Inode = root;
    for (const part of partsOf(path).all) {
      if (at.kind !== 'directory') return undefined;
      const next: Inode | undefined = at === root && part === 'run' ? memory : at.entries.get(part);
      if (!next) return undefined;
      at = next;
    }
    return at.kind === 'link' && follow ? find(at.to) : at;
  }
  function parentOf(path: string): { parent: Directory; name: string } {
    const { above, name } = partsOf(path);
    const parent = find(above);
    if (parent?.kind !== 'directory') throw fault(parent ? 'ENOTDIR' : 'ENOENT', path);
    return { parent, name };
  }
  function change(path: string, all: Change[], from = path): void {
    version++;
    changes++;
    const { inMemory, isPlace: isPlaced } = partsOf(path);
    if (isPlaced || (from !== path && partsOf(from).isPlace)) placed++;
    for (const one of all) {
      if (one.before?.kind === 'directory') places.clear();
      if (one.after) one.directory.entries.set(one.name, one.after);
      else one.directory.entries.delete(one.name);
      one.directory.mtime = now();
    }
    if (!inMemory) names.add(now(), all);
  }
  function put(path: string, after: Inode | undefined): void {
    const { parent, name } = parentOf(path);
    change(path, [{ directory: parent, name, before: parent.entries.get(name), after }]);
  }
  function write(file: File, text: string, path: string): void {
    version++;
    changes++;
    const { inMemory, isPlace: isPlaced } = partsOf(path);
    if (isPlaced) placed++;
    file.text = text;
    file.mtime = now();
    if (inMemory) file.synced = text;
    else if (!dirty.has(file)) dirty.set(file, now());
  }
  function make(path: string, text: string): File {
    const file: File = { kind: 'file', ino: ++numbers, text: '', synced: undefined, mtime: now() };
    put(path, file);
    write(file, text, path);
    return file;
  }
  function syncFile(file: File): void {
    file.synced = file.text;
    dirty.delete(file);
    names.commit((operation) => operation.changes.some((one) => one.after === file));
  }
  /** A copy of a file or tree; shared: its blocks are on the platter already (a snapshot). */
  function copyOf(inode: Inode, shared: boolean, subvolume = false): Inode {
    if (inode.kind === 'link') return { ...inode, ino: ++numbers };
    if (inode.kind === 'file') {
      const file: File = {
        ...inode,
        ino: ++numbers,
        synced: shared ? inode.text : undefined,
      };
      if (!shared) dirty.set(file, now());
      return file;
    }
    const copy = directory(subvolume);
    for (const [name, one] of inode.entries) copy.entries.set(name, copyOf(one, shared));
    return copy;
  }

  function syncTree(inode: Inode): void {
    if (inode.kind === 'directory') for (const one of inode.entries.values()) syncTree(one);
    if (inode.kind !== 'file') return;
    inode.synced = inode.text;
    dirty.delete(inode);
  }

  return {
    find,
    put,
    make,
    write,
    copyOf,
    syncFile,
    directory,
    version: () => version,
    placed: () => placed,
    syncDirectory(inode: Directory): void {
      names.commit((operation) =>
        operation.changes.some((one) => one.directory === inode || one.after === inode),
      );
    },
    /** sync(1) of the file system. */
    syncAll(): void {
      names.commitAll();
      for (const file of dirty.keys()) file.synced = file.text;
      dirty.clear();
    },
    /** The data of a tree goes to the platter. */
    syncTree,
    /** All names are made sure of. */
    commitAll: names.commitAll,
    makeDirectories(path: string): void {
      if (find(path)?.kind === 'directory') return;
      let at = '';
      for (const part of path.split('/').filter(Boolean)) {
        at += `/${part}`;
        const there = find(at);
        if (there && there.kind !== 'directory') throw fault('EEXIST', path);
        if (!there) put(at, directory());
      }
    },
    rename(from: string, to: string): void {
      const inode = find(from, false);
      if (!inode) throw fault('ENOENT', from);
      const [a, b] = [parentOf(from), parentOf(to)];
      const old = b.parent.entries.get(b.name);
      if (old === inode) return;
      if (old?.kind === 'directory' && (inode.kind !== 'directory' || old.entries.size > 0))
        throw fault('ENOTEMPTY', to);
      const both = [
        { directory: a.parent, name: a.name, before: inode, after: undefined },
        { directory: b.parent, name: b.name, before: old, after: inode },
      ];
      change(to, both, from);
    },
    /** Files and directories by name. */
    list(path: string): [string, Inode][] {
      const inode = find(path);
      if (!inode) throw fault('ENOENT', path);
      if (inode.kind !== 'directory') throw fault('ENOTDIR', path);
      return [...inode.entries];
    },
    text(path: string): string | undefined {
      const inode = find(path);
      return inode?.kind === 'file' ? inode.text : undefined;
    },
    /** The same once more, with nothing that could be lost. */
    clone: (): Disk => createDisk(now, copyOf(root, true) as Directory),
    /** The power is cut: what was not sure may be gone. */
    cut(random: Random): void {
      version++;
      changes++;
      placed++;
      const old = now() - WRITEBACK_MS;
      names.cut(random, old);
      for (const [file, since] of dirty) {
        if (since >= old && random.chance(0.6)) {
          const lost = file.synced ?? '';
          // an append may be torn in its middle
          file.text = file.text.startsWith(lost)
            ? file.text.slice(0, random.between(lost.length, file.text.length - 1))
            : lost;
        }
        file.synced = file.text;
      }
      dirty.clear();
      memory = directory();
      places.clear();
    },
  };
}
