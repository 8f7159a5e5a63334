import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import type { Overrides } from './extract.ts';
import { BLOCK, type Member, padding, writeHeader } from './header.ts';

const CHUNK = 256 * 1024;
/** Ids that a vserver has; what belongs to anybody else here belongs to its root there. */
const MOST_ID = 65_534;

/** What will be sent. */
export interface Measured {
  bytes: number;
  files: number;
}
type Stats = Awaited<ReturnType<typeof lstat>>;
const idOf = (given: number | undefined, own: number): number => given ?? (own <= MOST_ID ? own : 0);

function memberOf(path: string, stats: Stats, overrides: Overrides): Member {
  const isDirectory = stats.isDirectory();
  return {
    type: isDirectory ? 'directory' : stats.isSymbolicLink() ? 'symlink' : 'file',
    path,
    mode: overrides.mode !== undefined && !isDirectory ? overrides.mode : Number(stats.mode) & 0o7777,
    uid: idOf(overrides.uid, Number(stats.uid)),
    gid: idOf(overrides.gid, Number(stats.gid)),
    mtime: Number(stats.mtimeMs) / 1000,
    size: stats.isFile() ? Number(stats.size) : 0,
    target: '',
  };
}

/** Everything below a path, itself first: its name in the stream, where it is here, what it is. */
async function* walk(
  path: Buffer,
  name: string,
): AsyncGenerator<{ name: string; path: Buffer; stats: Stats }> {
  const stats = await lstat(path);
  yield { name, path, stats };
  if (!stats.isDirectory()) return;
  const names = await readdir(path, { encoding: 'buffer' });
  for (const one of names.sort(Buffer.compare))
    yield* walk(Buffer.concat([path, Buffer.from('/'), one]), `${name}/${one.toString('latin1')}`);
}

/** Counts what `sendTar` will send. */
export async function measure(source: string): Promise<Measured> {
  const counted: Measured = { bytes: 0, files: 0 };
  for await (const { stats } of walk(Buffer.from(source), '.')) {
    counted.files++;
    if (stats.isFile()) counted.bytes += Number(stats.size);
  }
  return counted;
}

async function* contentOf(handle: FileHandle, path: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < size;) {
    const { bytesRead, buffer } = await handle.read(
      Buffer.allocUnsafe(Math.min(CHUNK, size - at)),
      0,
      undefined,
      at,
    );
    if (bytesRead === 0)
      throw new VsError(
        'failed',
        `${path.toString()} became shorter while it was sent: nothing of it is in place.`,
      );
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  if (padding(size) > 0) yield Buffer.alloc(padding(size));
}

/**
 * A file, as "data", or a directory, as ".", in tar format. Owners, modes, times, symbolic links and hard links are kept; what is none of
 * file, directory and link is told to `onLeftOut` and left out.
 */
export async function* sendTar(
  source: string,
  overrides: Overrides,
  on: { bytes: (bytes: number) => void; leftOut: (path: string) => void },
): AsyncGenerator<Buffer> {
  const linked = new Map<string, string>();
  const top = (await lstat(source)).isDirectory() ? '.' : 'data';
  for await (const { name, path, stats } of walk(Buffer.from(source), top)) {
    if (stats.isDirectory()) yield writeHeader(memberOf(name, stats, overrides));
    else if (stats.isSymbolicLink()) {
      const target = (await readlink(path, { encoding: 'buffer' })).toString('latin1');
      yield writeHeader({ ...memberOf(name, stats, overrides), mode: 0o777, target });
    } else if (!stats.isFile()) on.leftOut(path.toString());
    else {
      const inode = `${stats.dev}:${stats.ino}`;
      const first = linked.get(inode);
      if (first !== undefined) {
        yield writeHeader({ ...memberOf(name, stats, overrides), type: 'link', size: 0, target: first });
        continue;
      }
      const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        const now = await handle.stat();
        const member = memberOf(name, now, overrides);
        if (now.nlink > 1) linked.set(inode, name);
        yield writeHeader(member);
        for await (const piece of contentOf(handle, path, member.size)) {
          on.bytes(piece.length);
          yield piece;
        }
      } finally {
        await handle.close();
      }
    }
  }
  yield Buffer.alloc(2 * BLOCK);
}
