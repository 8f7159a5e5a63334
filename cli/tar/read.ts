import { VsError } from '../../shared/errors.ts';
import { BLOCK, type Member, padding, readHeader } from './header.ts';

/** A member as it comes; its content must be read, or it is passed over. */
export interface Coming extends Member {
  content: AsyncIterable<Buffer>;
}

/** A name that is longer than this is none; nor is a block of attributes (bytes). */
const LONGEST = 64 * 1024;
const types: Record<string, Member['type']> = {
  '0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'directory',
};

const broken = (why: string) =>
  new VsError('failed', `what came from the vserver is no good tar stream: ${why}`);

/** Takes bytes from a stream, in the pieces that are wanted. */
function taking(source: AsyncIterable<Buffer>) {
  const from = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  async function next(): Promise<boolean> {
    const { value, done } = await from.next();
    if (done) return false;
    rest = value as Buffer;
    return true;
  }
  return {
    /** So many bytes at once; undefined at the end of the stream. */
    async all(length: number): Promise<Buffer | undefined> {
      const parts: Buffer[] = [];
      let missing = length;
      while (missing > 0) {
        if (rest.length === 0 && !(await next())) {
          if (missing === length) return undefined;
          throw broken('it was cut off');
        }
        const part = rest.subarray(0, missing);
        rest = rest.subarray(part.length);
        missing -= part.length;
        parts.push(part);
      }
      return Buffer.concat(parts);
    },
    async *pieces(length: number): AsyncGenerator<Buffer> {
      let missing = length;
      while (missing > 0) {
        if (rest.length === 0 && !(await next())) throw broken('it was cut off');
        const part = rest.subarray(0, missing);
        rest = rest.subarray(part.length);
        missing -= part.length;
        if (part.length > 0) yield part;
      }
    },
  };
}

/** The records of a block of attributes (pax(1)) that count here: `LENGTH KEY=VALUE\n`. */
export function attributesIn(data: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(32, at);
    const length = space < 0 || space - at > 8 ? NaN : Number(data.toString('latin1', at, space));
    if (!Number.isInteger(length) || length < 5 || at + length > data.length)
      throw broken('attributes that are none');
    const record = data.toString('latin1', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw broken('attributes that are none');
    found.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return found;
}

const whole = (text: string): number => {
  const value = Number(text);
  if (!/^\d{1,16}(\.\d+)?$/.test(text) || !Number.isSafeInteger(Math.floor(value)))
    throw broken('an attribute that is no number');
  return Math.floor(value);
};

/**
 * The members of a tar stream, one after another. What is none of file, directory and link (devices, pipes) is told to
 * `onLeftOut` and left out. Throws VsError 'failed' at anything that is not well formed.
 */
export async function* readTar(
  source: AsyncIterable<Buffer>,
  onLeftOut: (path: string) => void,
): AsyncGenerator<Coming> {
  const bytes = taking(source);
  let name: string | undefined;
  let target: string | undefined;
  let attributes = new Map<string, string>();
  for (;;) {
    const head = await bytes.all(BLOCK);
    if (!head) throw broken('it has no end');
    const said = readHeader(head);
    if (!said) break;
    if ('LKxg'.includes(said.type)) {
      if (said.size > LONGEST) throw broken('a name that is too long');
      const data = await bytes.all(said.size + padding(said.size));
      if (!data) throw broken('it was cut off');
      const text = data.toString('latin1', 0, said.size).replace(/\0+$/, '');
      if (said.type === 'L') name = text;
      else if (said.type === 'K') target = text;
      else if (said.type === 'x') attributes = attributesIn(data.subarray(0, said.size));
      continue;
    }
    const size = attributes.has('size') ? whole(attributes.get('size') ?? '') : said.size;
    const path = attributes.get('path') ?? name ?? said.path;
    const mtime = attributes.has('mtime') ? whole(attributes.get('mtime') ?? '') : said.mtime;
    const type = types[said.type];
    const isOld = type === 'file' && path.endsWith('/'); // how a directory was told before ustar
    const length = type === undefined || type === 'file' ? size : 0;
    if (type !== 'file' && type !== undefined && size > 0) throw broken('a directory or link with content');
    const content = bytes.pieces(length);
    if (type)
      yield {
        ...said,
        path,
        mtime,
        size: length,
        type: isOld ? 'directory' : type,
        target: attributes.get('linkpath') ?? target ?? said.target,
        content,
      };
    else if ('346S'.includes(said.type)) onLeftOut(path);
    else throw broken(`a member of kind ${JSON.stringify(said.type)}`);
    for await (const _ of content); // what nobody wanted
    if (length > 0 && padding(length) > 0 && !(await bytes.all(padding(length))))
      throw broken('it was cut off');
    [name, target, attributes] = [undefined, undefined, new Map()];
  }
  for (let left = 2048; await bytes.all(BLOCK); left--) if (left === 0) throw broken('it does not end'); // the zeros at its end
}
