import { createHash } from 'node:crypto';
import { parseNetworks } from '../../config/networks.ts';
import { readOptional } from '../../config/lines.ts';
import { parseSlaves } from '../../config/slaves.ts';
import type { Settings } from '../../config/settings.ts';
import { type PoolNetworks, poolNetworks } from '../../shared/contract/networks.ts';
import { VsError } from '../../shared/errors.ts';
import { readJson, writeFileDurable, writeJson } from '../../shared/store.ts';
import type { Wanted } from './plan.ts';

const hashOf = (wanted: Wanted): string =>
  createHash('sha256')
    .update(JSON.stringify([wanted.networks, wanted.hosts]))
    .digest('hex')
    .slice(0, 16);

/** networks.conf as people write it, and what of it was applied (STATE_DIR/networks-applied.json). */
export function openStore(settings: Pick<Settings, 'CONFIG_DIR' | 'STATE_DIR'>) {
  const file = `${settings.CONFIG_DIR}/networks.conf`;
  const slavesFile = `${settings.CONFIG_DIR}/slaves.conf`;
  const path = `${settings.STATE_DIR}/networks-applied.json`;
  return {
    file,
    text: () => readOptional(file),
    /** What a text of networks.conf and the slaves.conf of today mean. Throws VsError 'usage' with every fault of both. */
    async read(text: string): Promise<Wanted> {
      const slaves = await readOptional(slavesFile);
      const faults: string[] = [];
      const tried = <T>(parse: () => T[]): T[] => {
        try {
          return parse();
        } catch (error) {
          faults.push((error as Error).message);
          return [];
        }
      };
      const networks = tried(() => parseNetworks(text, file));
      const hosts = tried(() => parseSlaves(slaves, slavesFile)).flatMap(({ host, uplink, uplinks, mtu }) =>
        (uplink ?? uplinks ?? mtu)
          ? [
              [
                host,
                { ...(uplink ? { uplink } : {}), ...(uplinks ? { uplinks } : {}), ...(mtu ? { mtu } : {}) },
              ],
            ]
          : [],
      );
      if (faults.length > 0) throw new VsError('usage', faults.join('\n'));
      return { networks, hosts: Object.fromEntries(hosts) as Wanted['hosts'] };
    },
    writeText: (text: string) => writeFileDurable(file, text, 0o644),
    applied: () => readJson(path, poolNetworks),
    /** Keeps it as the newest; its version is greater than every one before, also when the file of those was lost. */
    async apply(wanted: Wanted, before: PoolNetworks | undefined): Promise<PoolNetworks> {
      const ts = Date.now();
      const version = Math.max((before?.version ?? 0) + 1, Math.floor(ts / 1000));
      const next = { version, hash: hashOf(wanted), ...wanted, ts };
      await writeJson(path, poolNetworks, next);
      return next;
    },
    isSame: (wanted: Wanted, applied: PoolNetworks): boolean => hashOf(wanted) === applied.hash,
  };
}
