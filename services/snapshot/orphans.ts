import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { readJson } from '../../shared/store.ts';

const names = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink()) // a tree on a volume of its own is a link to it
    .map((entry) => entry.name);

/** The uuid of a tree: undefined where none lies; 'damaged' where one lies whose vserver.json cannot be read. */
const uuidIn = (tree: string): Promise<string | undefined> =>
  readJson(join(tree, 'vserver.json'), vserverConfig).then(
    (config) => config?.uuid,
    () => 'damaged',
  );

/**
 * The uuids of all trees of a host: in place, staged (where a rename has it meanwhile) and in the trash. Undefined when one cannot
 * be read: then nobody knows whose snapshots nobody needs any more.
 */
export async function uuidsHere(directory: string): Promise<Set<string> | undefined> {
  const places: string[] = [];
  for (const saga of await names(join(directory, '.staging')))
    for (const entry of await names(join(directory, '.staging', saga)))
      places.push(join(directory, '.staging', saga, entry));
  for (const entry of await names(directory)) if (!entry.startsWith('.')) places.push(join(directory, entry));
  for (const entry of await names(join(directory, '.trash'))) places.push(join(directory, '.trash', entry));
  const found = await Promise.all(places.map(uuidIn));
  if (found.includes('damaged')) return undefined;
  return new Set(found.filter((uuid) => uuid !== undefined));
}

/** Which uuids have kept snapshots and no tree at two looks in a row: a tree that is just moved is not seen for a moment. */
export function orphanWatch() {
  let before = new Set<string>();
  return (kept: string[], here: Set<string> | undefined): string[] => {
    const missing = new Set(here ? kept.filter((uuid) => !here.has(uuid)) : []);
    const gone = [...missing].filter((uuid) => before.has(uuid));
    before = missing;
    return gone;
  };
}
