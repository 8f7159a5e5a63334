import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';

/** A generator of numbers that gives the same ones for the same seed (mulberry32). */
export function dice(seed: number) {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  return { below, one: <T>(all: readonly T[]): T | undefined => all[below(all.length)] };
}
export type Dice = ReturnType<typeof dice>;

const bytes = (text: string) => Buffer.from(text, 'latin1');
const under = (directory: Buffer, name: Buffer) => Buffer.concat([directory, bytes('/'), name]);

/** All paths below a directory, itself first. */
function paths(top: Buffer): { path: Buffer; is: fs.BigIntStats }[] {
  const is = fs.lstatSync(top, { bigint: true });
  const all = [{ path: top, is }];
  if (is.isDirectory())
    for (const name of fs.readdirSync(top, { encoding: 'buffer' })) all.push(...paths(under(top, name)));
  return all;
}

/** A tree as text, a line an entry, with all that a copy must keep: so that two of them can be compared; without sockets if told. */
export function oracle(top: string, sockets = true): string[] {
  const root = bytes(top);
  const groups = new Map<bigint, string>();
  const every = paths(root);
  const left = new Set(
    sockets
      ? []
      : every.filter(({ is }) => is.isSocket()).map(({ path }) => path.subarray(root.length + 1).toString()),
  );
  const all = every
    .filter(({ is }) => sockets || !is.isSocket())
    .map(({ path, is }) => ({ is, path, name: path.subarray(root.length).toString('latin1') }));
  all.sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines = all.map(({ path, is, name }) => {
    const what = [is.mode.toString(8), `${is.uid}:${is.gid}`, is.mtimeNs, is.rdev];
    if (is.isSymbolicLink()) what.push(fs.readlinkSync(path, { encoding: 'latin1' as BufferEncoding }));
    if (is.isFile())
      what.push(is.size, createHash('sha256').update(fs.readFileSync(path)).digest('hex').slice(0, 16));
    if (!is.isDirectory()) {
      const first = groups.get(is.ino) ?? name;
      groups.set(is.ino, first);
      what.push(is.nlink, first);
    }
    return JSON.stringify([name, ...what.map(String)]);
  });
  const attributes = execFileSync('getfattr', ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '.'], {
    cwd: top,
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const kept = attributes
    .split('\n\n')
    .filter((block) => !left.has(block.split('\n')[0]?.slice('# file: '.length) ?? ''));
  return [...lines, ...kept.toSorted()];
}

const odd = [
  'plain',
  '#hash',
  ';semi',
  '-dash',
  ' blank ',
  'new\nline',
  'nicht-\xfcutf8',
  '\xff\xfe',
  "quo'te",
  'a*b[c]?',
  '..x',
  'back\\slash',
  '~',
];
let serial = 0;
/** One of few names, so that the same name becomes many things; or a new one. */
const name = (random: Dice): Buffer =>
  bytes(
    random.below(3) === 0
      ? `${random.one(odd) ?? ''}${random.below(3)}`
      : `n${random.below(4) ? random.below(12) : serial++}`,
  );

const content = (random: Dice): Buffer =>
  Buffer.alloc(
    random.below(4) === 0 ? 40_000 + random.below(300_000) : random.below(900),
    `${random.below(1e9)}\n`,
  );

const isPlain = (path: Buffer) => /^[\w./-]+$/.test(path.toString('latin1'));

/** chmod and setfacl follow a symlink: out of the tree, to the machine's own files. */
const leadsElsewhere = (path: Buffer) => fs.lstatSync(path).isSymbolicLink();

/** What may happen to a tree. Each takes a place in it; what cannot be done there is no matter. */
const classes: Record<string, (at: Place, random: Dice) => void> = {
  create: ({ into }, random) => fs.writeFileSync(into, content(random)),
  mkdir: ({ into }, random) => {
    fs.mkdirSync(into);
    for (let count = random.below(3); count > 0; count--)
      fs.writeFileSync(under(into, name(random)), content(random));
  },
  delete: ({ any }) => fs.rmSync(any, { recursive: true, force: true }),
  renameFile: ({ file, into }) => fs.renameSync(file, into),
  renameDirectory: ({ directory, into }) => fs.renameSync(directory, into),
  swapDirectories: ({ directory, other }) => {
    const aside = Buffer.concat([directory, bytes('.aside')]);
    fs.renameSync(directory, aside);
    try {
      fs.renameSync(other, directory);
      fs.renameSync(aside, other);
    } catch {
      fs.renameSync(aside, directory); // one lies in the other
    }
  },
  chmod: ({ any }, random) => {
    if (!leadsElsewhere(any)) fs.chmodSync(any, random.one([0o600, 0o4755, 0o1777, 0o2750, 0o400]) ?? 0);
  },
  chown: ({ any }, random) => fs.lchownSync(any, random.below(70_000), random.below(70_000)),
  acl: ({ any }, random) => {
    const entry = `${random.below(3) ? '' : 'd:'}u:${random.below(9)}:rw`;
    if (isPlain(any) && !leadsElsewhere(any))
      execFileSync('setfacl', random.below(4) ? ['-m', entry, any.toString()] : ['-b', any.toString()], {
        stdio: 'ignore',
      });
  },
  xattr: ({ any }, random) => {
    const attribute = random.one(['user.one', 'user.two', 'trusted.three']) ?? '';
    const how = random.below(4) ? ['-n', attribute, '-v', `v${random.below(9)}`] : ['-x', attribute];
    if (isPlain(any)) execFileSync('setfattr', ['-h', ...how, any.toString()], { stdio: 'ignore' });
  },
  capability: ({ file }) => {
    if (isPlain(file))
      execFileSync('setcap', ['cap_net_bind_service+ep', file.toString()], { stdio: 'ignore' });
  },
  link: ({ file, into }) => fs.linkSync(file, into),
  breakLink: ({ file, into }) => {
    const { mtime, atime } = fs.lstatSync(file); // as cp -p does: the same size and time, another file
    fs.copyFileSync(file, into);
    fs.utimesSync(into, atime, mtime);
    fs.renameSync(into, file);
  },
  sparse: ({ file }, random) => {
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, 'x', random.below(3_000_000));
    if (random.below(2)) fs.ftruncateSync(fd, 1_000_000 + random.below(1_000_000));
    fs.closeSync(fd);
  },
  append: ({ file }, random) => fs.appendFileSync(file, content(random)),
  quiet: ({ file }, random) => {
    const { mtimeNs, size } = fs.lstatSync(file, { bigint: true });
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, String(random.below(10)), Math.max(0, Number(size) - 1)); // another last byte, the old time
    fs.closeSync(fd);
    const seconds = `${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`;
    if (isPlain(file)) execFileSync('touch', ['-d', `@${seconds}`, file.toString()]);
  },
  toDirectory: ({ file }, random) => {
    fs.unlinkSync(file);
    fs.mkdirSync(file);
    fs.writeFileSync(under(file, name(random)), content(random));
  },
  toFile: ({ directory }, random) => {
    fs.rmSync(directory, { recursive: true });
    fs.writeFileSync(directory, content(random));
  },
  toSymlink: ({ any }, random) => {
    fs.rmSync(any, { recursive: true });
    fs.symlinkSync(random.one(['/nonexistent/vslab', '..', 'n1', '../../vslab-none', 'nowhere']) ?? '', any);
  },
  fifo: ({ into }) => {
    if (isPlain(into)) execFileSync('mkfifo', [into.toString()], { stdio: 'ignore' });
  },
  device: ({ into }, random) => {
    if (isPlain(into))
      execFileSync('mknod', [into.toString(), 'c', '1', random.one(['3', '5']) ?? ''], { stdio: 'ignore' });
  },
  socket: ({ into }) => {
    const listen =
      'use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die';
    if (isPlain(into)) execFileSync('perl', ['-e', listen, into.toString()], { stdio: 'ignore' });
  },
  touch: ({ any }, random) => fs.lutimesSync(any, random.below(1e9), random.below(1e9) + 0.123_456),
};
export const kinds = Object.keys(classes);
/** Those by which a tree grows. */
export const growing =
  'mkdir mkdir create create link acl xattr capability sparse fifo device socket chmod chown touch'.split(
    ' ',
  );

interface Place {
  file: Buffer;
  directory: Buffer;
  other: Buffer;
  any: Buffer;
  /** A name that may be free, in some directory. */
  into: Buffer;
}

/** Does so many random things to a tree, of all classes or of those that are named. */
export function mutate(top: string, random: Dice, count: number, among: string[] = kinds): void {
  for (let done = 0; done < count; done++) {
    const all = paths(bytes(top)).slice(1);
    const directories = all.filter(({ is }) => is.isDirectory()).map(({ path }) => path);
    const files = all.filter(({ is }) => is.isFile()).map(({ path }) => path);
    const home = random.one([bytes(top), ...directories]) ?? bytes(top);
    const none = under(bytes(top), bytes('none'));
    const place = {
      file: random.one(files) ?? none,
      directory: random.one(directories) ?? none,
      other: random.one(directories) ?? none,
      any: random.one(all.map(({ path }) => path)) ?? none,
      into: under(home, name(random)),
    };
    const there = fs.lstatSync(place.into, { throwIfNoEntry: false });
    if (there && !there.isFile() && !there.isDirectory()) fs.unlinkSync(place.into); // nothing is written into a fifo or a device
    try {
      classes[random.one(among) ?? '']?.(place, random);
    } catch {
      // there is a directory of that name, or no file at all, or it lies in itself
    }
  }
}
