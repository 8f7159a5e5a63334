import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Settings } from '../config/settings.ts';
import { type Ownership, ownership } from './contract/vserver.ts';
import { pathsFor } from './paths.ts';
import { fileMark, readJson } from './store.ts';

type Where = Pick<Settings, 'VSERVER_DIR' | 'STATE_DIR' | 'RUN_DIR'>;

/** Where a host keeps who owns a vserver. It lies outside the vserver's tree, so that no copy carries it. */
export const ownershipPath = (settings: Where, name: string): string => pathsFor(settings).ownership(name);

/** The record of a vserver on this host. Every service may read it; only host-agent writes it. */
export const readOwnership = (settings: Where, name: string): Promise<Ownership | undefined> =>
  readJson(ownershipPath(settings, name), ownership);

export const isOwner = async (settings: Where, name: string): Promise<boolean> =>
  (await readOwnership(settings, name))?.owner === true;

/** Every record of this host, or those of a name or of a uuid (that of another name, too); also what it gave up long ago. */
export async function ownershipsOf(
  settings: Where,
  of: { name?: string | undefined; uuid?: string | undefined },
): Promise<Ownership[]> {
  const directory = dirname(ownershipPath(settings, 'any'));
  const files = (await readdir(directory).catch(() => [])).filter(
    (file) => file.endsWith('.json') && !file.startsWith('.'),
  );
  const records = await Promise.all(files.map((file) => readJson(join(directory, file), ownership)));
  return records.filter(
    (one) =>
      one !== undefined &&
      ((of.name === undefined && of.uuid === undefined) || one.name === of.name || one.uuid === of.uuid),
  ) as Ownership[];
}

/** What this host owns by its uuid: answers the name. The records are read again only when one of them changed. */
export function ownedNames(settings: Where): (uuid: string) => Promise<string | undefined> {
  const directory = dirname(ownershipPath(settings, 'any'));
  let mark = '';
  let names = new Map<string, string>();
  return async (uuid) => {
    const now = fileMark(directory);
    if (now !== mark) {
      const records = await ownershipsOf(settings, {});
      names = new Map(records.filter((one) => one.owner).map((one) => [one.uuid, one.name]));
      mark = now;
    }
    return names.get(uuid);
  };
}
