import { readdir, stat } from 'node:fs/promises';
import { vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context, Service } from '../../shared/service.ts';
import { readJson } from '../../shared/store.ts';
import type { Quota } from './quota.ts';

/** What the snapshot service does about the disk space that a vserver may use. */
export function limitHandlers({
  context,
  paths,
  quota,
}: {
  context: Context;
  paths: Paths;
  quota: () => Promise<Quota>;
}): Service['handlers'] {
  const { host } = context;
  return {
    'snapshot.limit': async ({ name, bytes, exact, ready }) => {
      if (ready) {
        const why = await (await quota()).missing();
        if (!why) await (await quota()).ready();
        return why ? { missing: why } : {};
      }
      const tree = paths.vserver(name);
      if (!(await stat(tree).catch(() => undefined)))
        throw new VsError('not-found', `${host} has no vserver ${name}`);
      const driver = await quota();
      const missing = await driver.missing();
      if (bytes !== undefined) {
        if (missing && bytes !== null)
          throw new VsError('refused', `${host} cannot limit the disk space of ${name}: ${missing}`);
        await driver.limit(tree, bytes);
        return bytes === null ? {} : { limit: bytes }; // a start waits for it: it is not looked at again
      }
      const { used, limit } = await driver.look(tree, exact);
      return {
        ...(used === undefined ? {} : { used }),
        ...(limit === undefined ? {} : { limit }),
        ...(missing ? { missing } : {}),
      };
    },
  };
}

/** The limit of one is that of its vserver.json. */
export async function keepLimit(paths: Paths, quota: () => Promise<Quota>, name: string): Promise<void> {
  const driver = await quota();
  const config = await readJson(paths.vserverJson(name), vserverConfig).catch(() => undefined);
  if (!config) return;
  const wanted = config.limits.disk_bytes ?? null;
  const { limit = null } = await driver.look(paths.vserver(name));
  if (limit !== wanted) await driver.limit(paths.vserver(name), wanted);
}

/** After a crash in the middle of a change the limits are those of vserver.json again. */
export async function keepLimits(
  settings: Context['settings'],
  paths: Paths,
  quota: () => Promise<Quota>,
): Promise<void> {
  const driver = await quota();
  if (await driver.missing()) return;
  for (const name of await readdir(settings.VSERVER_DIR).catch(() => [] as string[])) {
    if (name.startsWith('.')) continue;
    await keepLimit(paths, quota, name);
  }
}
