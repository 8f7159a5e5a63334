import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import { readJson, writeJson } from '../../shared/store.ts';

const namePattern = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** Names of the directories that are vservers: those with a vserver.json. */
export async function vserverNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
    // a tree on a volume of its own is a link to it
    if (!(entry.isDirectory() || entry.isSymbolicLink()) || !namePattern.test(entry.name)) continue;
    const there = await stat(join(directory, entry.name, 'vserver.json')).catch(() => undefined);
    if (there?.isFile()) names.push(entry.name);
  }
  return names.sort();
}

const readConfig = (path: string) => readJson(path, vserverConfig);

/** The configuration of a vserver of this host. Throws 'not-found' when there is none. `read`: how its file is read. */
export async function loadVserver(
  paths: Paths,
  host: string,
  name: string,
  read: (path: string) => Promise<VserverConfig | undefined> = readConfig,
): Promise<VserverConfig> {
  const config = await read(paths.vserverJson(name));
  if (!config) throw new VsError('not-found', `${host} has no vserver ${name}`);
  if (config.name !== name)
    throw new VsError('failed', `${paths.vserverJson(name)} is of ${config.name}, not of ${name}`);
  return config;
}

export const saveVserver = (paths: Paths, config: VserverConfig): Promise<void> =>
  writeJson(paths.vserverJson(config.name), vserverConfig, config);
