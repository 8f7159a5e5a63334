import { VsError } from '../../shared/errors.ts';

// The tar format as every tar understands it: ustar, with GNU's long names and large numbers (GNU tar manual, "Basic Tar Format").

export const BLOCK = 512;

/** One member of an archive. Names are bytes, as text in latin1. */
export interface Member {
  type: 'file' | 'directory' | 'symlink' | 'link';
  path: string;
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch. */
  mtime: number;
  size: number;
  /** Of symlinks and links. */
  target: string;
}

const letters = { file: '0', link: '1', symlink: '2', directory: '5' } as const;

function octal(into: Buffer, at: number, length: number, value: number): void {
  const text = value.toString(8);
  if (text.length < length) into.write(`${text.padStart(length - 1, '0')}\0`, at, 'latin1');
  else {
    into[at] = 0x80; // base 256
    into.writeUIntBE(value, at + length - 6, 6);
  }
}

function block(name: string, type: string, member: Omit<Member, 'type' | 'path'>): Buffer {
  const head = Buffer.alloc(BLOCK);
  head.write(name.slice(0, 100), 0, 'latin1');
  octal(head, 100, 8, member.mode & 0o7777);
  octal(head, 108, 8, member.uid);
  octal(head, 116, 8, member.gid);
  octal(head, 124, 12, member.size);
  octal(head, 136, 12, Math.max(0, Math.floor(member.mtime)));
  head.fill(' ', 148, 156);
  head.write(type, 156, 'latin1');
  head.write(member.target.slice(0, 100), 157, 'latin1');
  head.write('ustar  \0', 257, 'latin1');
  head.write(`${sum(head).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

/** The bytes of all, those of the checksum taken for spaces. */
function sum(head: Buffer): number {
  let all = 0;
  for (let at = 0; at < BLOCK; at++) all += at >= 148 && at < 156 ? 32 : (head[at] ?? 0);
  return all;
}

/** Zeros up to the next block. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

function long(type: 'L' | 'K', text: string): Buffer {
  const data = Buffer.from(`${text}\0`, 'latin1');
  const plain = { mode: 0, uid: 0, gid: 0, mtime: 0, size: data.length, target: '' };
  return Buffer.concat([block('././@LongLink', type, plain), data, Buffer.alloc(padding(data.length))]);
}

/** What stands before the content of a member. */
export function writeHeader(member: Member): Buffer {
  const name = member.type === 'directory' ? `${member.path}/` : member.path;
  return Buffer.concat([
    ...(member.target.length > 100 ? [long('K', member.target)] : []),
    ...(name.length > 100 ? [long('L', name)] : []),
    block(name, letters[member.type], member),
  ]);
}

const wrong = (why: string) =>
  new VsError('failed', `what came from the vserver is no good tar stream: ${why}`);

function number(head: Buffer, at: number, length: number): number {
  const first = head[at] ?? 0;
  if (first & 0x80) {
    let value = first & 0x7f;
    if (first === 0xff) throw wrong('a number below zero');
    for (let next = at + 1; next < at + length; next++) value = value * 256 + (head[next] ?? 0);
    if (!Number.isSafeInteger(value)) throw wrong('a number that is too large');
    return value;
  }
  const text = field(head, at, length).trim();
  if (!/^[0-7]*$/.test(text)) throw wrong('a field that is no number');
  return text === '' ? 0 : parseInt(text, 8);
}

function field(head: Buffer, at: number, length: number): string {
  const end = head.subarray(at, at + length).indexOf(0);
  return head.toString('latin1', at, end < 0 ? at + length : at + end);
}

/** What a block of 512 bytes says; undefined for one of zeros, the end. Throws VsError 'failed'. */
export function readHeader(head: Buffer): (Omit<Member, 'type'> & { type: string }) | undefined {
  if (head.every((byte) => byte === 0)) return undefined;
  if (number(head, 148, 8) !== sum(head)) throw wrong('a checksum does not agree');
  const magic = head.toString('latin1', 257, 263);
  const prefix = magic === 'ustar\0' ? field(head, 345, 155) : '';
  const name = field(head, 0, 100);
  return {
    type: field(head, 156, 1) || '0',
    path: prefix ? `${prefix}/${name}` : name,
    mode: number(head, 100, 8) & 0o7777,
    uid: number(head, 108, 8),
    gid: number(head, 116, 8),
    size: number(head, 124, 12),
    mtime: head[136] === 0xff ? 0 : number(head, 136, 12), // before 1970
    target: field(head, 157, 100),
  };
}
