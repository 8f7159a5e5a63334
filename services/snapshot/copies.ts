import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CopyInfo, type CopyRecord, copyRecord } from '../../shared/contract/snapshot.ts';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import { readJson, writeJson } from '../../shared/store.ts';

const recordIn = (tree: string) => join(tree, 'copy.json');

/** A staged tree becomes a copy that is kept: disabled, with the record that goes into its place with it. */
export async function describe(paths: Paths, name: string, saga: string, copy: CopyRecord): Promise<void> {
  const tree = paths.stagingTree(name, saga);
  const file = join(tree, 'vserver.json');
  const config = await readJson(file, vserverConfig);
  if (!config) throw new VsError('failed', `the copy of ${name} has no vserver.json`);
  if (config.name !== name || config.uuid !== copy.uuid || copy.name !== name)
    throw new VsError(
      'failed',
      `the copy of ${name} (${copy.uuid}) calls itself ${config.name} (${config.uuid})`,
    );
  if (config.enabled) await writeJson(file, vserverConfig, { ...config, enabled: false });
  await writeJson(recordIn(tree), copyRecord, copy);
}

/** The copies of a directory, by name; what is no whole copy is left out. */
export async function listCopies(directory: string, only?: string): Promise<CopyInfo[]> {
  const entries = only ? [only] : (await readdir(directory).catch(() => [])).sort();
  const copies = await Promise.all(
    entries
      .filter((entry) => !entry.startsWith('.'))
      .map(async (entry) => {
        const tree = join(directory, entry);
        const record = await readJson(recordIn(tree), copyRecord);
        const config = record && (await readJson(join(tree, 'vserver.json'), vserverConfig));
        if (!config) return undefined;
        const { network, address, address6, more } = config;
        return { ...record, network, address, ...(address6 ? { address6 } : {}), ...(more ? { more } : {}) };
      }),
  );
  return copies.filter((one) => one !== undefined);
}
