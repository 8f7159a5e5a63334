import { readdir, stat } from 'node:fs/promises';
import type { KeptInfo, KeptRecord } from '../../shared/contract/kept.ts';
import { type VserverConfig, vserverConfig } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { isOwner } from '../../shared/ownership.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import { readJson } from '../../shared/store.ts';
import type { Driver } from './drivers.ts';
import type { Kept } from './kept.ts';
import { nameByTime, oldestAutomatic } from './retention.ts';

export interface KeptParts {
  context: Context;
  paths: Paths;
  driver: () => Promise<Driver>;
  kept: Kept;
}

/** Scripts of the vserver before and after, and what is between them (ms). */
const ROUND_MS = 60_000;

export const shown = ({ version: _version, saga: _saga, ...one }: KeptRecord): KeptInfo => one;

/** The configuration of a vserver whose tree is in its place. Throws 'not-found'. */
export async function configOf({ context, paths }: Pick<KeptParts, 'context' | 'paths'>, name: string) {
  const config = await readJson(paths.vserverJson(name), vserverConfig);
  if (!config) throw new VsError('not-found', `${context.host} has no vserver ${name}`);
  return config;
}

/** Throws 'refused', with what to do instead, where the storage makes no snapshots. */
export async function requireSnapshots(
  { context, driver }: Pick<KeptParts, 'context' | 'driver'>,
  name: string,
  isForPeople = true,
): Promise<void> {
  const { storage, capabilities } = await driver();
  if (isForPeople ? capabilities.keep : capabilities.snapshot) return;
  throw new VsError(
    'refused',
    `${context.host} keeps its vservers on storage ${storage}, which ${capabilities.snapshot ? 'keeps' : 'makes'} no snapshots: make a copy instead (vs copy ${name} NEWNAME --address ADDRESS), or a backup (vs backup run ${name})`,
  );
}

/** The vservers whose trees are in their place. */
export const namesIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory).catch(() => [] as string[])).filter((entry) => !entry.startsWith('.')).sort();

export interface Wanted {
  snapshot?: string | undefined;
  note?: string | undefined;
  by: string;
  kind: KeptRecord['kind'];
}

/** Takes kept snapshots: a place is prepared, the vserver stands still for the moment, and what came is listed. */
export function createTaker({ context, paths, driver, kept }: KeptParts) {
  const { host, settings, bus } = context;
  const quiesce = (name: string, to: { snapshot: string } | { saga: string; label: string }) =>
    bus.request(
      host,
      'host-agent.quiesce',
      { name, to },
      { timeoutMs: 2000 * settings.SNAPSHOT_SCRIPT_SECONDS + ROUND_MS },
    );

  /** Room for one more: automatic ones make it, people's own stay. Throws 'refused'. */
  async function requireRoom(config: VserverConfig): Promise<void> {
    const most = settings.SNAPSHOT_MAX;
    for (;;) {
      const all = await kept.list(config.uuid);
      if (all.length < most) return;
      const oldest = oldestAutomatic(all);
      if (!oldest)
        throw new VsError(
          'refused',
          `${config.name} has ${all.length} snapshots, and SNAPSHOT_MAX is ${most}; remove some: vs snapshot remove ${config.name} SNAPSHOT`,
        );
      await kept.drop(config.uuid, oldest.snapshot);
    }
  }

  return {
    quiesce,
    async take(name: string, wanted: Wanted): Promise<KeptRecord> {
      const config = await configOf({ context, paths }, name);
      await requireSnapshots({ context, driver }, name);
      if (!(await isOwner(settings, name)))
        throw new VsError('refused', `${host} does not own ${name}, so it makes no snapshots of it`);
      await requireRoom(config);
      const taken = Date.now();
      const snapshot = wanted.snapshot ?? nameByTime(taken, wanted.kind);
      await kept.prepare(config.uuid, snapshot);
      try {
        const { frozenMs } = await quiesce(name, { snapshot });
        const one: KeptRecord = {
          version: 1,
          snapshot,
          vserver: name,
          uuid: config.uuid,
          taken,
          by: wanted.by,
          kind: wanted.kind,
          protected: false,
          ...(wanted.note ? { note: wanted.note } : {}),
          ...(frozenMs === undefined ? {} : { frozenMs }),
        };
        await kept.seal(one);
        return one;
      } catch (error) {
        await kept.abandon(config.uuid, snapshot).catch(() => undefined);
        throw error;
      }
    },
    /** The moment of it, which host-agent asks for. */
    async cut(name: string, to: { snapshot: string } | { saga: string; label: string }): Promise<void> {
      const tree = paths.vserver(name);
      if (!(await stat(tree).catch(() => undefined)))
        throw new VsError('not-found', `${host} has no vserver ${name}`);
      if ('snapshot' in to)
        return kept.cut((await configOf({ context, paths }, name)).uuid, to.snapshot, tree);
      await (await driver()).snapshot(tree, paths.snapshot(name, to.saga, to.label));
    },
  };
}
export type Taker = ReturnType<typeof createTaker>;
