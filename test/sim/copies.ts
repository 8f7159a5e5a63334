import type { Inode } from './inode.ts';
import { VSERVERS } from './guests.ts';
import { uuidOf, versionOf } from './trees.ts';
import type { Machine } from './world.ts';

/** Where the master keeps copies of vservers. */
export const COPIES = '/var/lib/vs-tools/copies';

/** Where the repository `main` of the master is. */
export const BACKUPS = '/var/lib/vs-tools/backups';

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
  if (machine.name === 'master') paths.push(...backupsOn(machine).map(({ path }) => `${path}/tree`));
  return paths.map((path) => ({
    path,
    uuid: uuidOf(machine.disk, path),
    version: versionOf(machine.disk, path),
  }));
}

/** A backup as the repository lists it: one with a record. */
export interface Backup {
  path: string;
  name: string;
  id: string;
  saga: string;
}
export function backupsOn(master: Machine): Backup[] {
  const found: Backup[] = [];
  for (const [name] of listed(master, BACKUPS))
    for (const [id] of name.startsWith('.') ? [] : listed(master, `${BACKUPS}/${name}`)) {
      const path = `${BACKUPS}/${name}/${id}`;
      const text = master.disk.text(`${path}/backup.json`);
      const saga = text === undefined ? undefined : /"saga": *"([^"]+)"/.exec(text)?.[1];
      if (saga !== undefined) found.push({ path, name, id, saga });
    }
  return found;
}
