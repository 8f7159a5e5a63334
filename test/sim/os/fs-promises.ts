// node:fs/promises, as the simulated processes see it: the disk of their node
import { asyncCallOf as call, later, theWorld } from '../current.ts';
import { constants } from './fs.ts';
import * as now from './calls.ts';

/** An fsync takes so long (ms): a while in which others go on. */
const SYNC_MS = 8;

export const mkdir = call('mkdir', now.mkdir);
export const readdir = call('readdir', now.readdir);
export const readFile = call('read', now.readFile);
export const writeFile = call('write', now.writeFile);
export const appendFile = call('append', now.appendFile);
export const rename = call('rename', now.rename);
export const rm = call('rm', now.rm);
export const rmdir = call('rmdir', now.rmdir);
export const unlink = call('unlink', now.unlink);
export const stat = call('stat', (path: string) => now.stat(path, true));
export const lstat = call('lstat', (path: string) => now.stat(path, false));
export const statfs = call('statfs', now.statfs);
export const access = call('access', (path: string) => void now.stat(path, true));
export const chmod = call('chmod', (path: string) => void now.stat(path, true));
export const chown = chmod;
export const utimes = chmod;
export const copyFile = call('copy', now.copyFile);
export const cp = call('cp', now.copyTree);
export const symlink = call('symlink', now.symlink);
export const link = call('link', now.link);
export const readlink = call('readlink', now.readlink);
export const realpath = call('realpath', now.realpath);
export const truncate = call('truncate', now.truncate);
export const mkdtemp = call('mkdtemp', (prefix: string) => {
  const path = `${prefix}${theWorld().random.hex(3)}`;
  now.mkdir(path, {});
  return path;
});

const ofHandle = {
  write: call('write', (fd: number, text: string | Uint8Array) => now.append(fd, String(text))),
  append: call('append', (fd: number, text: string | Uint8Array) => now.append(fd, String(text))),
  read: call('read', now.readFd),
  stat: call('fstat', now.statFd),
  chmod: call('fchmod', () => undefined),
  truncate: call('ftruncate', now.truncateFd),
  close: call('close', now.close),
};
export class FileHandle {
  readonly fd: number;
  constructor(fd: number) {
    this.fd = fd;
  }
  writeFile(text: string | Uint8Array): Promise<void> {
    return ofHandle.write(this.fd, text);
  }
  appendFile(text: string | Uint8Array): Promise<void> {
    return ofHandle.append(this.fd, text);
  }
  readFile(): Promise<string> {
    return ofHandle.read(this.fd);
  }
  stat() {
    return ofHandle.stat(this.fd);
  }
  chmod(): Promise<undefined> {
    return ofHandle.chmod();
  }
  truncate(size: number): Promise<void> {
    return ofHandle.truncate(this.fd, size);
  }
  sync(): Promise<void> {
    return later('fsync', theWorld().random.between(0, SYNC_MS), () => now.sync(this.fd));
  }
  datasync(): Promise<void> {
    return this.sync();
  }
  close(): Promise<void> {
    return ofHandle.close(this.fd);
  }
}
export const open = call(
  'open',
  (path: string, flags: string | number = 'r') => new FileHandle(now.open(path, flags)),
);
export { constants };
