// What the system calls do to the disk of the node whose code runs.
import { currentLife, theWorld } from '../current.ts';
import { type Directory, type File, type Inode, fault } from '../disk.ts';

const MAX_LINKS = 8;
interface Open {
  inode: Inode;
  path: string;
}
/** By number; forgotten with the simulation, as a process's own end with it. */
const table = () => theWorld().files as Map<number, Open>;
const disk = () => currentLife().node.disk;

/** /proc/self/fd/N is a way to a directory that is open. */
function real(path: string): string {
  const match = /^\/proc\/self\/fd\/(\d+)(.*)$/.exec(path);
  return match ? `${table().get(Number(match[1]))?.path ?? '/none'}${match[2]}` : path.replace(/\/+$/, '');
}
function found(path: string, follow = true): Inode {
  const inode = disk().find(real(path), follow);
  if (!inode) throw fault('ENOENT', path);
  return inode;
}
function room(path: string): void {
  const { node } = currentLife();
  if (path.startsWith('/run/')) return;
  if (node.eio > 0) {
    node.eio--;
    throw Object.assign(fault('EIO', path), { path });
  }
  if (node.full) throw Object.assign(fault('ENOSPC', path), { path });
}
function statOf(inode: Inode) {
  const size = inode.kind === 'file' ? inode.text.length : 0;
  const mtime = inode.kind === 'link' ? 0 : inode.mtime;
  return {
    ino: inode.ino,
    size,
    mtimeMs: mtime,
    ctimeMs: mtime,
    mtime: new Date(mtime),
    mode: inode.kind === 'directory' ? 0o40700 : 0o100600,
    uid: 0,
    gid: 0,
    nlink: 1,
    dev: 1,
    blocks: Math.ceil(size / 512),
    isFile: () => inode.kind === 'file',
    isDirectory: () => inode.kind === 'directory',
    isSymbolicLink: () => inode.kind === 'link',
  };
}

export const stat = (path: string, follow: boolean) => statOf(found(path, follow));
export const statFd = (fd: number) => statOf(opened(fd).inode);
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
  const all = disk()
    .list(real(path))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (typeof options !== 'object' || !options.withFileTypes) return all.map(([name]) => name) as never[];
  return all.map(([name, inode]) => ({ name, parentPath: path, ...statOf(inode) })) as never[];
}
export function readFile(path: string, options?: unknown): string {
  if (path.startsWith('/proc/')) return theWorld().guests.procFile(currentLife().node, path);
  if (path.startsWith('/sys/')) return theWorld().guests.cgroupFile(currentLife().node, path);
  const inode = found(path);
  if (inode.kind !== 'file') throw fault('EISDIR', path);
  return options === undefined ? (Buffer.from(inode.text) as unknown as string) : inode.text;
}
export function writeFile(
  path: string,
  text: string | Uint8Array,
  options?: { flag?: string } | string,
): void {
  if (path.startsWith('/sys/'))
    return theWorld().guests.writeCgroupFile(currentLife().node, path, String(text));
  const at = real(path);
  room(at);
  const there = disk().find(at);
  if (there && typeof options === 'object' && options.flag === 'wx') throw fault('EEXIST', path);
  if (there?.kind === 'file') disk().write(there, String(text), at);
  else disk().make(at, String(text));
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
