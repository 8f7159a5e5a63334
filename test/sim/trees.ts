import type { Disk } from './disk.ts';
import type { Inode } from './inode.ts';

/** What a guest's data is at first. */
export const FIRST_DATA = 'v1;';
/** Where a guest writes, below its rootfs: the number grows with every write. */
export const DATA = 'rootfs/var/data';
export const dataOf = (version: number): string => `v${version};`;

/** The version of a tree's data; undefined: torn or missing. */
export function versionOf(disk: Disk, tree: string): number | undefined {
  const text = disk.text(`${tree}/${DATA}`);
  const match = text === undefined ? null : /^v(\d+);$/.exec(text);
  return match ? Number(match[1]) : undefined;
}

const UUID = /"uuid": *"([0-9a-f-]+)"/;
/** Of the same texts again and again. */
const uuids = new Map<string, string | undefined>();
function uuidIn(text: string): string | undefined {
  if (!uuids.has(text)) {
    if (uuids.size > 5000) uuids.clear();
    uuids.set(text, UUID.exec(text)?.[1]);
  }
  return uuids.get(text);
}
/** The uuid of the vserver whose tree this is; undefined: torn or missing. */
export function uuidOf(disk: Disk, tree: string): string | undefined {
  const text = disk.text(`${tree}/vserver.json`);
  return text === undefined ? undefined : uuidIn(text);
}

/** Every file of a tree with its text, by path. */
export function filesOf(inode: Inode | undefined, prefix = ''): Map<string, string> {
  const all = new Map<string, string>();
  if (inode?.kind !== 'directory') return all;
  for (const [name, one] of inode.entries) {
    if (one.kind === 'file') all.set(`${prefix}${name}`, one.text);
    if (one.kind === 'directory')
      for (const [path, text] of filesOf(one, `${prefix}${name}/`)) all.set(path, text);
  }
  return all;
}

/** What a backup's manifest says of its files. */
export const manifestOf = (texts: Map<string, string>): string =>
  `${[...texts]
    .map(([path, text]) => `${path} ${JSON.stringify(text)}`)
    .sort()
    .join('\n')}\n`;
