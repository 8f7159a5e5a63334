import { VsError } from '../../../shared/errors.ts';
import type { TarEntry } from './tar-read.ts';

/** What a name of an image stands for; several names may share one (hard links). */
export interface Inode {
  kind: 'file' | 'symlink' | 'fifo' | 'directory';
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  size: number;
  link: string;
  xattrs: Map<string, Buffer>;
  /** The layer it came with, and the place of its entry there; -1: vs-tools made it. */
  layer: number;
  index: number;
  data?: Buffer;
}
export interface Node {
  inode: Inode;
  /** The last layer that said something of it. */
  layer: number;
  /** Of a directory. */
  children?: Map<string, Node>;
}
/** The files of an image, in memory: only their names and what is known of them. */
export interface Tree {
  root: Node;
  entries: number;
  bytes: number;
  /** Device files that were left out. */
  devices: number;
}
/** So much of an image is taken, at most. */
const MOST_ENTRIES = 2_000_000;
const MOST_BYTES = 256 * 1024 ** 3;
const MOST_LINKS = 40;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/** A directory that nobody described. */
export const plainDirectory = (layer: number, mode = 0o755): Node => ({
  inode: {
    kind: 'directory',
    mode,
    uid: 0,
    gid: 0,
    mtime: 0,
    size: 0,
    link: '',
    xattrs: new Map(),
    layer: -1,
    index: 0,
  },
  layer,
  children: new Map(),
});
export const newTree = (): Tree => ({ root: plainDirectory(-1), entries: 0, bytes: 0, devices: 0 });

const refuse: (path: string, why: string) => never = (path, why) => {
  throw new VsError('refused', `${JSON.stringify(path.slice(0, 120))} ${why}`);
};

/** The parts of a path below the root. Throws 'refused' at one that leads out of it, or that no file system would take. */
export function partsOf(path: string): string[] {
  if (path.includes('\0')) refuse(path, 'has a zero byte in its name');
  if (Buffer.byteLength(path) > 4096) refuse(path, 'has a name of more than 4096 bytes');
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  for (const part of parts) {
    if (part === '..') refuse(path, 'leads out of the image');
    if (Buffer.byteLength(part) > 255) refuse(path, 'has a part of more than 255 bytes');
  }
  return parts;
}

/**
 * The directory of these parts; links of the image are followed inside of it, as its own kernel would. `make`: what is missing
 * is made for this layer, else undefined.
 */
function directoryOf(tree: Tree, parts: string[], path: string, make?: number): Node | undefined {
  const stack = [tree.root];
  const left = [...parts];
  for (let links = 0; left.length > 0;) {
    const part = left.shift() ?? '';
    const here = stack.at(-1) ?? tree.root;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (stack.length > 1) stack.pop();
      continue;
    }
    let child = here.children?.get(part);
    if (!child) {
      if (make === undefined) return undefined;
      child = plainDirectory(make);
      here.children?.set(part, child);
      count(tree, 1, 0, path);
    }
    if (child.inode.kind === 'symlink') {
      if (++links > MOST_LINKS) refuse(path, 'goes through too many links');
      const { link } = child.inode;
      if (link.startsWith('/')) stack.splice(1);
      left.unshift(...link.split('/'));
      continue;
    }
    if (!child.children) {
      if (make === undefined) return undefined;
      refuse(path, 'lies below something that is no directory');
    }
    stack.push(child);
  }
  return stack.at(-1);
}

function count(tree: Tree, entries: number, bytes: number, path: string): void {
  tree.entries += entries;
  tree.bytes += bytes;
  if (tree.entries > MOST_ENTRIES)
    refuse(path, `is one too many: an image has at most ${MOST_ENTRIES} files`);
  if (tree.bytes > MOST_BYTES) refuse(path, 'is too much: the files of an image have at most 256 GiB');
}

/** Removes what lower layers had of a directory; what this one brought stays. */
function clearLower(node: Node, layer: number): void {
  for (const [name, child] of node.children ?? []) {
    if (child.layer < layer) {
      if (child.children) clearLower(child, layer);
      if (!child.children || child.children.size === 0) node.children?.delete(name);
    } else if (child.children) clearLower(child, layer);
  }
}

function whiteOut(tree: Tree, layer: number, parents: string[], name: string, path: string): void {
  const gone = name.slice(WHITEOUT.length);
  if (gone === '' || gone === '.' || gone === '..') refuse(path, 'removes nothing that could be');
  const parent = directoryOf(tree, parents, path);
  if (!parent) return;
  if (name === OPAQUE) return clearLower(parent, layer);
  if (name.startsWith('.wh..wh.')) return; // aufs keeps its own things in such
  const child = parent.children?.get(gone);
  if (!child) return;
  if (child.children) clearLower(child, layer);
  if (child.layer < layer && (!child.children || child.children.size === 0)) parent.children?.delete(gone);
}

/** Attributes that mean something to a guest; those of overlay file systems and of the host's security are left out. */
const kept = (xattrs: Map<string, Buffer>): Map<string, Buffer> =>
  new Map(
    [...xattrs].filter(
      ([name]) => name === 'security.capability' || /^(?:user\.(?!overlay\.)|system\.posix_acl_)/.test(name),
    ),
  );

/** Applies one entry of a layer (OCI image specification, "Applying Changesets"). Throws 'refused' at hostile ones. */
export function applyEntry(tree: Tree, layer: number, index: number, entry: TarEntry): void {
  const { path, kind, mode, uid, gid, mtime, size, link } = entry;
  const parts = partsOf(path);
  const name = parts.pop();
  const facts = { mode, uid, gid, mtime, size, link, layer, index };
  if (name === undefined) {
    if (kind !== 'directory') refuse(path, 'takes the place of the root directory');
    Object.assign(tree.root, { layer, inode: { ...facts, kind, xattrs: kept(entry.xattrs) } });
    return;
  }
  if (name.startsWith(WHITEOUT)) return whiteOut(tree, layer, parts, name, path);
  const parent = directoryOf(tree, parts, path, layer);
  const before = parent?.children?.get(name);
  if (kind === 'character' || kind === 'block') {
    tree.devices++; // the runtime makes the /dev of a guest
    parent?.children?.delete(name);
    return;
  }
  count(tree, 1, size, path);
  if (kind === 'hardlink') {
    const inode = inodeOf(tree, link, path);
    if (before?.inode === inode) return;
    parent?.children?.set(name, { inode, layer });
    return;
  }
  const inode: Inode = { ...facts, kind, xattrs: kept(entry.xattrs) };
  if (kind === 'symlink' && (link === '' || link.includes('\0'))) refuse(path, 'is a link to nowhere');
  const children = kind === 'directory' ? (before?.children ?? new Map<string, Node>()) : undefined;
  parent?.children?.set(name, { inode, layer, ...(children ? { children } : {}) });
}

/** What a hard link means. */
function inodeOf(tree: Tree, link: string, path: string): Inode {
  const parts = partsOf(link);
  const name = parts.pop() ?? '';
  const found = directoryOf(tree, parts, path)?.children?.get(name);
  if (!found || found.children)
    return refuse(
      path,
      `is a hard link to ${JSON.stringify(link.slice(0, 120))}, which is no file of the image`,
    );
  return found.inode;
}

/** The node of a path, with all links followed; undefined when there is none. */
export function find(tree: Tree, path: string): Node | undefined {
  let parts = path.split('/').filter(Boolean);
  for (let links = 0; links < MOST_LINKS; links++) {
    const name = parts.pop();
    if (name === undefined) return tree.root;
    const found = directoryOf(tree, parts, path)?.children?.get(name);
    if (found?.inode.kind !== 'symlink') return found;
    const { link } = found.inode;
    parts = [...(link.startsWith('/') ? [] : parts), ...link.split('/')].filter(Boolean);
  }
  return undefined;
}

/** Every name of a tree but the root, each directory before what is in it, in the order of names. */
export function* names(tree: Tree): Generator<[string, Inode]> {
  function* below(node: Node, prefix: string): Generator<[string, Inode]> {
    for (const [name, child] of [...(node.children ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
      yield [`${prefix}${name}`, child.inode];
      if (child.children) yield* below(child, `${prefix}${name}/`);
    }
  }
  yield* below(tree.root, '');
}
