// What the system calls do to the disk of the node whose code runs.
import { currentLife, theWorld } from '../current.ts';
import { EPOCH } from '../loop.ts';
import { type Directory, type File, type Inode, fault } from '../inode.ts';

const MAX_LINKS = 8;
/** A buffer of so many bytes is one of crypto.ts, which nobody changes. */
const LARGE = 100_000;
interface Open {
  inode: Inode;
  path: string;
}
/** By number; forgotten with the simulation, as a process's own end with it. */
const table = () => theWorld().files as Map<number, Open>;
const disk = () => currentLife().node.disk;

/** /proc/self/fd/N is a way to a directory that is open. */
function real(path: string): string {
  if (!path.startsWith('/proc/')) return path.endsWith('/') ? path.replace(/\/+$/, '') : path;
  const match = /^\/proc\/self\/fd\/(\d+)(.*)$/.exec(path);
  return match ? `${table().get(Number(match[1]))?.path ?? '/none'}${match[2]}` : path.replace(/\/+$/, '');
}
function found(path: string, follow = true): Inode {
  const inode = disk().find(real(path), follow);
  if (!inode) throw fault('ENOENT', path);
  return inode;
}
/** Who had an error of the disk tries again within so long (ms). */
const AGAIN_MS = 6000;

function room(path: string): void {
  const { node } = currentLife();
  if (path.startsWith('/run/')) return;
  if (node.eio > 0) {
    node.eio--;
    theWorld().deeds.busy(AGAIN_MS);
    throw Object.assign(fault('EIO', path), { path });
  }
  if (node.full) throw Object.assign(fault('ENOSPC', path), { path });
}
/** What is known of an inode as it was then. */
class Stat {
  readonly kind: Inode['kind'];
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly mode: number;
  readonly uid = 0;
  readonly gid = 0;
  readonly nlink = 1;
  readonly dev = 1;
  readonly blocks: number;
  constructor(inode: Inode) {
    this.kind = inode.kind;
    this.ino = inode.ino;
    this.size = inode.kind === 'file' ? inode.text.length : 0;
    this.mtimeMs = inode.kind === 'link' ? 0 : EPOCH + inode.mtime;
    this.ctimeMs = this.mtimeMs;
    this.mode = inode.kind === 'directory' ? 0o40700 : 0o100600;
    this.blocks = Math.ceil(this.size / 512);
  }
  get mtime(): Date {
    return new Date(this.mtimeMs);
  }
  isFile(): boolean {
    return this.kind === 'file';
  }
  isDirectory(): boolean {
    return this.kind === 'directory';
  }
  isSymbolicLink(): boolean {
    return this.kind === 'link';
  }
}
class Entry extends Stat {
  readonly name: string;
  readonly parentPath: string;
  constructor(name: string, parentPath: string, inode: Inode) {
    super(inode);
    this.name = name;
    this.parentPath = parentPath;
  }
}

export const stat = (path: string, follow: boolean): Stat => new Stat(found(path, follow));
/** As stat; undefined when there is nothing: most that is asked for is not there. */
export function statAny(path: string): Stat | undefined {
  const inode = disk().find(real(path), true);
  return inode && new Stat(inode);
}
export const statFd = (fd: number) => new Stat(opened(fd).inode);
export function statfs(path: string) {
  found(path);
  const { node } = currentLife();
  const btrfs = theWorld().isBtrfs(node);
  return {
    type: btrfs ? 0x9123683e : 0xef53,
    bsize: 4096,
    blocks: 25_000_000,
    bavail: node.full ? 0 : 12_000_000,
    bfree: node.full ? 0 : 12_000_000,
  };
}
export function mkdir(path: string, options?: { recursive?: boolean } | number): string | undefined {
  const at = real(path);
  const there = disk().find(at);
  const recursive = typeof options === 'object' && options.recursive === true;
  if (there && recursive && there.kind === 'directory') return undefined;
  if (there) throw fault('EEXIST', path);
  room(at);
  if (recursive) disk().makeDirectories(at);
  else disk().put(at, disk().directory());
  return path;
}
export function readdir(path: string, options?: { withFileTypes?: boolean } | string): never[] {
  if (path === '/proc') return theWorld().guests.pids(currentLife().node) as never[];
  const inode = found(path);
  if (inode.kind !== 'directory') throw fault('ENOTDIR', real(path));
  const names = [...inode.entries.keys()].sort();
  if (typeof options !== 'object' || !options.withFileTypes) return names as never[];
  return names.map((name) => new Entry(name, path, inode.entries.get(name) as Inode)) as never[];
}
export function readFile(path: string, options?: unknown): string {
  if (path.startsWith('/proc/')) return theWorld().guests.procFile(currentLife().node, path);
  if (path.startsWith('/sys/')) return theWorld().guests.cgroupFile(currentLife().node, path);
  const inode = found(path);
  if (inode.kind !== 'file') throw fault('EISDIR', path);
  return options === undefined ? (Buffer.from(inode.text) as unknown as string) : inode.text;
}
/** What is written; the same large buffer (a reserve) is written again and again. */
const large = new WeakMap<Uint8Array, string>();
function textOf(data: string | Uint8Array): string {
  if (typeof data === 'string') return data;
  if (data.length < LARGE) return String(data);
  let text = large.get(data);
  if (text === undefined) large.set(data, (text = String(data)));
  return text;
}
export function writeFile(
  path: string,
  text: string | Uint8Array,
  options?: { flag?: string } | string,
): void {
  if (path.startsWith('/sys/'))
    return theWorld().guests.writeCgroupFile(currentLife().node, path, String(text));
  const content = textOf(text);
  const at = real(path);
  room(at);
  const there = disk().find(at);
  if (there && typeof options === 'object' && options.flag === 'wx') throw fault('EEXIST', path);
  if (there?.kind === 'file') disk().write(there, content, at);
  else disk().make(at, content);
}
export function appendFile(path: string, text: string): void {
  const there = disk().find(real(path));
  writeFile(path, there?.kind === 'file' ? there.text + text : text);
}
export const rename = (from: string, to: string): void => disk().rename(real(from), real(to));
export function rm(path: string, options: { recursive?: boolean; force?: boolean } = {}): void {
  const at = real(path);
  const there = disk().find(at, false);
  if (!there && options.force) return;
  if (!there) throw fault('ENOENT', path);
  if (there.kind === 'directory' && !options.recursive) throw fault('EISDIR', path);
  disk().put(at, undefined);
}
export function rmdir(path: string): void {
  const there = found(path) as Directory;
  if (there.entries.size > 0) throw fault('ENOTEMPTY', path);
  disk().put(real(path), undefined);
}
export function unlink(path: string): void {
  const there = found(path, false);
  if (there.kind === 'directory') throw fault('EISDIR', path);
  disk().put(real(path), undefined);
}
export function copyFile(from: string, to: string): void {
  const inode = found(from);
  if (inode.kind !== 'file') throw fault('EISDIR', from);
  writeFile(to, inode.text);
}
export function copyTree(from: string, to: string): void {
  room(to);
  disk().put(real(to), disk().copyOf(found(from), false));
}
export const symlink = (to: string, path: string): void =>
  disk().put(real(path), { kind: 'link', ino: 1, to });
export function link(from: string, to: string): void {
  if (disk().find(real(to))) throw fault('EEXIST', to);
  disk().put(real(to), found(from));
}
export function readlink(path: string): string {
  const inode = found(path, false);
  if (inode.kind !== 'link') throw fault('EINVAL', path);
  return inode.to;
}
export function realpath(path: string): string {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const inode = found(at, false);
    if (inode.kind !== 'link') return at;
    at = inode.to;
  }
  throw fault('ELOOP', path);
}
export function truncate(path: string, size = 0): void {
  const inode = found(path);
  if (inode.kind === 'file') disk().write(inode, inode.text.slice(0, size), real(path));
}

function opened(fd: number): Open {
  const one = table().get(fd);
  if (!one) throw fault('EBADF', String(fd));
  return one;
}
export function open(path: string, flags: string | number = 'r'): number {
  const at = real(path);
  const text = typeof flags === 'string' ? flags : flags & 0o100 ? (flags & 0o200 ? 'wx' : 'w') : 'r';
  let inode = disk().find(at);
  if (text.startsWith('r') && !inode) throw fault('ENOENT', path);
  if (text.includes('x') && inode) throw fault('EEXIST', path);
  if (typeof flags === 'number' && flags & 0o200000 && inode?.kind !== 'directory')
    throw fault('ENOTDIR', path);
  if (!inode) {
    room(at);
    inode = disk().make(at, '');
  } else if (text.startsWith('w') && inode.kind === 'file') disk().write(inode, '', at);
  const fd = ++theWorld().lastFile;
  table().set(fd, { inode, path: at });
  return fd;
}
export function append(fd: number, text: string): void {
  const { inode, path } = opened(fd);
  room(path);
  const file = inode as File;
  disk().write(file, file.text + text, path);
}
export function readFd(fd: number): string {
  return (opened(fd).inode as File).text;
}
export function truncateFd(fd: number, size: number): void {
  const { inode, path } = opened(fd);
  disk().write(inode as File, (inode as File).text.slice(0, size), path);
}
export function sync(fd: number): void {
  const { inode } = opened(fd);
  if (inode.kind === 'file') disk().syncFile(inode);
  if (inode.kind === 'directory') disk().syncDirectory(inode);
}
export function close(fd: number): void {
  table().delete(fd);
}
