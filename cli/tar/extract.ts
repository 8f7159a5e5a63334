import { constants } from 'node:fs';
import { chmod, chown, link, mkdir, open, symlink, utimes } from 'node:fs/promises';
import { VsError } from '../../shared/errors.ts';
import type { Member } from './header.ts';
import type { Coming } from './read.ts';

/** What all files get, whatever the stream says; absent: the owner is who pulls, the mode that of the vserver without set-id bits. */
export interface Overrides {
  uid?: number | undefined;
  gid?: number | undefined;
  mode?: number | undefined;
}

/** A stream has at most so many members, and a path so many levels: what a hostile one may cost in memory. */
const MOST_MEMBERS = 2_000_000;
const MOST_LEVELS = 256;

/** A name that a vserver chose, for people: nothing in it that a terminal would obey. */
export const shown = (path: string): string =>
  JSON.stringify(path.slice(0, 200)).replace(/[\u007f-\u009f]/g, '?');

const bad = (path: string, why: string) =>
  new VsError('refused', `the vserver sent ${shown(path)}, which ${why}: nothing was put in place`);

/** A path of a stream, as its parts below the target; none for the target itself. Throws VsError 'refused' at what leads elsewhere. */
export function partsOf(path: string): string[] {
  if (path.length > 4096 || path.includes('\0')) throw bad(path, 'is no path');
  if (path.startsWith('/')) throw bad(path, 'does not lie below what was asked for');
  const parts = path
    .replace(/^\.(\/+|$)/, '')
    .replace(/\/+$/, '')
    .split('/');
  if (parts.length === 1 && parts[0] === '') return [];
  if (parts.length > MOST_LEVELS || parts.some((part) => part.length > 255)) throw bad(path, 'is too long');
  if (parts.some((part) => part === '' || part === '.' || part === '..'))
    throw bad(path, 'does not lie below what was asked for');
  return parts;
}

const bytesOf = (path: string): Buffer => Buffer.from(path, 'latin1');
const modeOf = (member: Member, { mode }: Overrides): number => mode ?? member.mode & 0o777;

/**
 * Unpacks a stream that an enemy may have made, into a directory that is new and can be entered by this user alone. Each member must
 * lie in a directory that the same stream brought, and nothing comes twice. Symbolic links come last, when nothing is written any
 * more, so nothing is ever written through one; hard links lead to files of the same stream. Answers whether it was one file, which
 * is `data` then, or a tree, which is `data` too.
 */
export async function extract(
  members: AsyncIterable<Coming>,
  into: string,
  overrides: Overrides,
  onBytes: (bytes: number) => void,
): Promise<'file' | 'tree'> {
  const root = Buffer.concat([Buffer.from(`${into}/`), bytesOf('data')]).toString('latin1');
  const made = new Map<string, 'file' | 'directory' | 'symlink'>();
  const directories: { path: string; member: Member }[] = [];
  const links: { path: string; target: string }[] = [];
  let kind: 'file' | 'tree' | undefined;

  /** Where a member goes: its directory is there, itself is not. */
  function place(member: Member): string {
    const parts = partsOf(member.path);
    const key = parts.join('/');
    if (kind === 'tree' && parts.length > 0) {
      if (made.get(parts.slice(0, -1).join('/')) !== 'directory')
        throw bad(member.path, 'lies in no directory that came before it');
    } else if (kind !== undefined) throw bad(member.path, 'came besides what was asked for');
    if (made.has(key)) throw bad(member.path, 'came twice');
    if (made.size >= MOST_MEMBERS) throw bad(member.path, `is one of more than ${MOST_MEMBERS} files`);
    return key;
  }
  const pathOf = (key: string): Buffer => bytesOf(key === '' ? root : `${root}/${key}`);

  async function writeFile(path: Buffer, member: Coming): Promise<void> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const handle = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      for await (const piece of member.content) {
        await handle.writeFile(piece);
        onBytes(piece.length);
      }
      if (overrides.uid !== undefined || overrides.gid !== undefined)
        await handle.chown(
          overrides.uid ?? process.getuid?.() ?? 0,
          overrides.gid ?? process.getgid?.() ?? 0,
        );
      await handle.chmod(modeOf(member, overrides));
      await handle.utimes(member.mtime, member.mtime);
      if (kind === 'file') await handle.sync();
    } finally {
      await handle.close();
    }
  }

  for await (const member of members) {
    const parts = partsOf(member.path);
    if (kind === undefined && member.type === 'file') {
      if (parts.length !== 1) throw bad(member.path, 'is not what was asked for');
      kind = 'file';
      made.set(parts[0] ?? '', 'file');
      await writeFile(bytesOf(root), member);
      continue;
    }
    if (kind === undefined) {
      if (member.type !== 'directory' || parts.length !== 0)
        throw bad(member.path, 'is not what was asked for');
      await mkdir(bytesOf(root), 0o700);
      kind = 'tree';
      made.set('', 'directory');
      directories.push({ path: '', member });
      continue;
    }
    const key = place(member);
    if (member.type === 'directory') {
      await mkdir(pathOf(key), 0o700);
      made.set(key, 'directory');
      directories.push({ path: key, member });
    } else if (member.type === 'symlink') {
      if (member.target === '' || member.target.length > 4095 || member.target.includes('\0'))
        throw bad(member.path, 'is a symbolic link to nothing');
      made.set(key, 'symlink');
      links.push({ path: key, target: member.target });
    } else if (member.type === 'link') {
      const to = partsOf(member.target).join('/');
      if (made.get(to) !== 'file') throw bad(member.path, 'is a link to what did not come before it');
      await link(pathOf(to), pathOf(key));
      made.set(key, 'file');
    } else {
      await writeFile(pathOf(key), member);
      made.set(key, 'file');
    }
  }
  if (kind === undefined) throw new VsError('failed', 'nothing came from the vserver');
  for (const { path, target } of links) await symlink(bytesOf(target), pathOf(path));
  for (const { path, member } of directories.reverse()) {
    const at = pathOf(path);
    if (overrides.uid !== undefined || overrides.gid !== undefined)
      await chown(at, overrides.uid ?? process.getuid?.() ?? 0, overrides.gid ?? process.getgid?.() ?? 0);
    await chmod(at, (member.mode & 0o777) | 0o700); // who pulled it can remove it, whatever the vserver says
    await utimes(at, member.mtime, member.mtime);
  }
  return kind;
}
