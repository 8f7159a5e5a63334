import { cpus, freemem, release, totalmem } from 'node:os';
import { copySettings } from '../../../config/settings.ts';
import type { HostInfo } from '../../../shared/contract/host.ts';
import { sealKey } from '../../../shared/seal.ts';
import type { Deciding } from './planned.ts';

/** The master as the place of copies: what a host tells of itself by its info. */
export async function masterInfo({ context }: Deciding): Promise<HostInfo> {
  const { settings, bus, version } = context;
  return {
    host: 'master',
    version,
    address: settings.MANAGEMENT_ADDRESS,
    kernel: release(),
    cpus: cpus().length,
    mem_bytes: totalmem(),
    mem_free_bytes: freemem(),
    runtime: { name: 'lxc', version: '' },
    storage: await bus.request('master', 'snapshot.info', {}),
    networks: [],
    seal: sealKey(copySettings(settings)),
    ts: Date.now(),
  };
}
