import type { Inode } from './inode.ts';
import { VSERVERS } from './guests.ts';
import { uuidOf, versionOf } from './trees.ts';
import type { Machine } from './world.ts';

/** Where the master keeps copies of vservers. */
export const COPIES = '/var/lib/vs-tools/copies';

/** A place where a copy may lie; its version is undefined when it is torn. */
export interface Copy {
  path: string;
  uuid: string | undefined;
  version: number | undefined;
}
/** What lies in a directory; nothing, when it is not there. */
export function listed({ disk }: Machine, path: string): [string, Inode][] {
  return disk.find(path) ? disk.list(path) : [];
}
/** Below this lie the trees of a machine. */
export const treesOf = ({ name }: Machine): string => (name === 'master' ? COPIES : VSERVERS);

/** Every place where a copy may lie on a machine. */
export function copiesOn(machine: Machine): Copy[] {
  const base = treesOf(machine);
  const paths = listed(machine, base)
    .filter(([name]) => !name.startsWith('.'))
    .map(([name]) => `${base}/${name}`);
  for (const [name] of listed(machine, `${base}/.staging`))
    for (const [label] of listed(machine, `${base}/.staging/${name}`))
      paths.push(`${base}/.staging/${name}/${label}`);
  for (const [name] of listed(machine, `${base}/.trash`)) paths.push(`${base}/.trash/${name}`);
  return paths.map((path) => ({
    path,
    uuid: uuidOf(machine.disk, path),
    version: versionOf(machine.disk, path),
  }));
}
