export interface File {
  kind: 'file';
  ino: number;
  text: string;
  /** What is on the platter; undefined: nothing yet. */
  synced: string | undefined;
  mtime: number;
}
export interface Link {
  kind: 'link';
  ino: number;
  to: string;
}
export interface Directory {
  kind: 'directory';
  ino: number;
  entries: Map<string, Inode>;
  subvolume: boolean;
  mtime: number;
}
export type Inode = File | Link | Directory;

export function fault(code: string, path: string): NodeJS.ErrnoException {
  const message = `${code}: ${path}`;
  // without a stack for anybody to read, what makes one need not begin
  if (Error.stackTraceLimit === 0)
    return Object.setPrototypeOf({ name: 'Error', message, code }, Error.prototype) as NodeJS.ErrnoException;
  return Object.assign(new Error(message), { code });
}
