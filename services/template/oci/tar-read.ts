import { VsError } from '../../../shared/errors.ts';

/** One entry of a tar archive (POSIX.1-1988 ustar, pax, and the long names of GNU tar), as it says itself. */
export interface TarEntry {
  path: string;
  kind: 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';
  mode: number;
  uid: number;
  gid: number;
  /** Seconds. */
  mtime: number;
  size: number;
  link: string;
  /** Extended attributes by name. */
  xattrs: Map<string, Buffer>;
  /** Where its data begins in the archive. */
  offset: number;
}
const BLOCK = 512;
/** The longest header of pax or GNU tar that is taken (bytes). */
const MOST_HEADER = 1024 * 1024;
const kinds: Record<string, TarEntry['kind']> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};
const damaged = (why: string) => new VsError('failed', `the archive is damaged: ${why}`);

/** Gives bytes of a stream in the pieces that are asked for. */
function reader(source: AsyncIterable<Buffer>) {
  const chunks = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  async function more(): Promise<boolean> {
    const { value, done } = await chunks.next();
    if (!done) rest = rest.length > 0 ? Buffer.concat([rest, value]) : value;
    return !done;
  }
  const cut = (length: number): Buffer => {
    const piece = rest.subarray(0, length);
    rest = rest.subarray(length);
    offset += piece.length;
    return piece;
  };
  return {
    offset: () => offset,
    /** Exactly so many bytes; undefined at the end of the stream. */
    async take(length: number): Promise<Buffer | undefined> {
      while (rest.length < length) {
        if (await more()) continue;
        if (rest.length === 0) return undefined;
        throw damaged('it ends in the middle');
      }
      return cut(length);
    },
    async *pieces(length: number): AsyncGenerator<Buffer> {
      for (let left = length; left > 0;) {
        if (rest.length === 0 && !(await more())) throw damaged('it ends in the middle');
        const piece = cut(Math.min(left, rest.length));
        left -= piece.length;
        yield piece;
      }
    },
    /** Reads on to the end of the stream: who checks the whole of it has to see it. */
    async drain(): Promise<void> {
      do rest = Buffer.alloc(0);
      while (await more());
    },
    close: async (): Promise<void> => void (await chunks.return?.(undefined)),
  };
}

const text = (bytes: Buffer): string => {
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? bytes.length : end).toString();
};
/** A number of a header: octal, or base 256 where its first bit is set. */
function number(bytes: Buffer): number {
  if ((bytes[0] ?? 0) & 0x80) {
    let value = (bytes[0] ?? 0) & 0x7f;
    for (const byte of bytes.subarray(1)) value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw damaged('a number is too large');
    return value;
  }
  const word = text(bytes).trim();
  if (word === '') return 0;
  if (!/^[0-7]+$/.test(word)) throw damaged(`"${word.slice(0, 12)}" is no number`);
  return Number.parseInt(word, 8);
}
function checkSum(header: Buffer): void {
  let sum = 8 * 0x20;
  for (const [at, byte] of header.entries()) if (at < 148 || at >= 156) sum += byte;
  if (number(header.subarray(148, 156)) !== sum) throw damaged('the checksum of a header is wrong');
}

/** The records of a pax header: "LENGTH KEY=VALUE\n". */
export function paxRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at);
    const length = Number(bytes.subarray(at, blank).toString());
    const equals = bytes.indexOf(0x3d, blank);
    const end = at + length;
    if (blank < 0 || equals < 0 || !(length > 0) || equals >= end || bytes[end - 1] !== 0x0a)
      throw damaged('a pax header is wrong');
    records.set(bytes.subarray(blank + 1, equals).toString(), bytes.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

const XATTR = 'SCHILY.xattr.';
const words = (value: Buffer | undefined): string | undefined => value?.toString();
function numeric(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  const found = Number(value.toString());
  if (!Number.isFinite(found) || Math.abs(found) > Number.MAX_SAFE_INTEGER)
    throw damaged('a number of a pax header is wrong');
  return Math.trunc(found);
}

function entryOf(header: Buffer, more: Map<string, Buffer>, longName: string, longLink: string): TarEntry {
  const flag = String.fromCharCode(header[156] ?? 0);
  const isUstar = header.subarray(257, 262).toString() === 'ustar';
  const isGnu = header.subarray(257, 264).toString() === 'ustar  ';
  const prefix = isUstar && !isGnu ? text(header.subarray(345, 500)) : '';
  const short = text(header.subarray(0, 100));
  const path = words(more.get('path')) ?? (longName || (prefix ? `${prefix}/${short}` : short));
  const known = kinds[flag];
  if (!known || [...more.keys()].some((key) => key.startsWith('GNU.sparse.')))
    throw new VsError(
      'failed',
      `${JSON.stringify(path.slice(0, 80))} is of a kind ("${flag}"${known ? ', sparse' : ''}) that cannot be taken over`,
    );
  const kind = known === 'file' && path.endsWith('/') ? 'directory' : known;
  const size = numeric(more.get('size')) ?? number(header.subarray(124, 136));
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of more) if (key.startsWith(XATTR)) xattrs.set(key.slice(XATTR.length), value);
  return {
    path,
    kind,
    mode: number(header.subarray(100, 108)) & 0o7777,
    uid: numeric(more.get('uid')) ?? number(header.subarray(108, 116)),
    gid: numeric(more.get('gid')) ?? number(header.subarray(116, 124)),
    mtime: numeric(more.get('mtime')) ?? number(header.subarray(136, 148)),
    size: known === 'file' ? size : 0,
    link: words(more.get('linkpath')) ?? (longLink || text(header.subarray(157, 257))),
    xattrs,
    offset: 0,
  };
}

/**
 * The entries of an archive, each with its data: who reads of that reads all of it, and what nobody reads is skipped. The whole stream is read, also what
 * comes after the archive. Throws VsError 'failed' at damage, at sparse files and at kinds that are not known.
 */
export async function* readTar(
  source: AsyncIterable<Buffer>,
): AsyncGenerator<{ entry: TarEntry; data: AsyncGenerator<Buffer> }> {
  const from = reader(source);
  let pax = new Map<string, Buffer>();
  let longName = '';
  let longLink = '';
  try {
    for (;;) {
      const header = await from.take(BLOCK);
      if (!header || header.every((byte) => byte === 0)) break;
      checkSum(header);
      const flag = String.fromCharCode(header[156] ?? 0);
      const length = number(header.subarray(124, 136));
      if ('xgLK'.includes(flag)) {
        if (length > MOST_HEADER) throw damaged('a header has more than 1 MB');
        const padded = Math.ceil(length / BLOCK) * BLOCK;
        const body = (padded > 0 ? await from.take(padded) : Buffer.alloc(0))?.subarray(0, length);
        if (!body) throw damaged('it ends in the middle');
        if (flag === 'x') pax = paxRecords(Buffer.from(body));
        if (flag === 'L') longName = text(body);
        if (flag === 'K') longLink = text(body);
        continue; // one for all entries (g) says nothing that matters here
      }
      const entry = entryOf(Buffer.from(header), pax, longName, longLink);
      [pax, longName, longLink] = [new Map(), '', ''];
      entry.offset = from.offset();
      const data = from.pieces(entry.size);
      yield { entry, data };
      for await (const _ of data); // what was not read
      const odd = entry.size % BLOCK;
      if (odd > 0) await from.take(BLOCK - odd);
    }
    await from.drain();
  } finally {
    await from.close();
  }
}
