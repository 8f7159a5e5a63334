/** What an entry of an archive is written from. */
export interface Written {
  path: string;
  flag: '0' | '1' | '2' | '5' | '6';
  mode: number;
  uid: number;
  gid: number;
  /** Seconds. */
  mtime: number;
  size: number;
  link: string;
  xattrs: Map<string, Buffer>;
}
const BLOCK = 512;

/** Data of this length is followed by so many zeros. */
export const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
/** The end of an archive. */
export const ending = Buffer.alloc(2 * BLOCK);

function record(key: string, value: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

function block(one: Omit<Written, 'flag' | 'xattrs'> & { flag: string }): Buffer {
  const bytes = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number, most: number) =>
    bytes.write(
      `${Math.min(Math.max(value, 0), most)
        .toString(8)
        .padStart(width - 1, '0')}\0`,
      at,
      'latin1',
    );
  Buffer.from(one.path).copy(bytes, 0, 0, 100);
  octal(one.mode, 100, 8, 0o7777);
  octal(one.uid, 108, 8, 0o7777777);
  octal(one.gid, 116, 8, 0o7777777);
  octal(one.size, 124, 12, 0o77777777777);
  octal(one.mtime, 136, 12, 0o77777777777);
  bytes.write('        ', 148, 'latin1');
  bytes.write(one.flag, 156, 'latin1');
  Buffer.from(one.link).copy(bytes, 157, 0, 100);
  bytes.write('ustar\u000000', 257, 'latin1');
  let sum = 0;
  for (const byte of bytes) sum += byte;
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

/** The header of an entry (POSIX pax, so that names and ids of any length fit); its data and padding() come after it. */
export function header(one: Written): Buffer {
  const more: Buffer[] = [];
  const add = (key: string, value: string | Buffer) => more.push(record(key, Buffer.from(value)));
  if (Buffer.byteLength(one.path) > 100) add('path', one.path);
  if (Buffer.byteLength(one.link) > 100) add('linkpath', one.link);
  if (one.size > 0o77777777777) add('size', String(one.size));
  if (one.uid > 0o7777777) add('uid', String(one.uid));
  if (one.gid > 0o7777777) add('gid', String(one.gid));
  if (one.mtime < 0 || one.mtime > 0o77777777777) add('mtime', String(one.mtime));
  for (const [name, value] of one.xattrs) add(`SCHILY.xattr.${name}`, value);
  const own = block(one);
  if (more.length === 0) return own;
  const body = Buffer.concat(more);
  const plain = { path: './PaxHeaders/entry', mode: 0o644, uid: 0, gid: 0, mtime: 0, link: '' };
  return Buffer.concat([block({ ...plain, size: body.length, flag: 'x' }), body, padding(body.length), own]);
}
