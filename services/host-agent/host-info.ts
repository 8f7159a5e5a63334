import { cpus, freemem, release, totalmem } from 'node:os';
import type { HostInfo } from '../../shared/contract/host.ts';
import { sealKey } from '../../shared/seal.ts';
import type { Context } from '../../shared/service.ts';
import { shownCertificate } from './certificate.ts';
import type { LimitsOfHost } from './limits/limits.ts';
import type { Lxc } from './lxc.ts';

/** Publishes what this host is and has, now and each 30 s. */
export function publishInfo(
  context: Context,
  lxc: Lxc,
  limits: LimitsOfHost,
): { now: () => void; tell: () => Promise<void>; stop: () => void } {
  const { bus, host, settings, version, log } = context;
  let runtime = '';
  async function publish(): Promise<void> {
    runtime ||= await lxc.version();
    const storage = await bus.request(host, 'snapshot.info', {});
    const { networks } = await bus.request(host, 'network.list', {});
    const own = shownCertificate(settings);
    const info: HostInfo = {
      host,
      version,
      address: settings.MANAGEMENT_ADDRESS,
      kernel: release(),
      cpus: cpus().length,
      mem_bytes: totalmem(),
      mem_free_bytes: freemem(),
      runtime: { name: 'lxc', version: runtime },
      storage,
      networks: networks.map((one) => one.network.name),
      limits: { missing: await limits.missing() },
      seal: sealKey(settings),
      ...(own ? { certificate: own } : {}),
      ts: Date.now(),
    };
    bus.retain(bus.topics.info(host), info);
  }
  const quietly = () =>
    void publish().catch((error: unknown) => log.warn({ error: String(error) }, 'host info not published'));
  quietly();
  const timer = setInterval(quietly, 30_000);
  return { now: quietly, tell: publish, stop: () => clearInterval(timer) };
}
