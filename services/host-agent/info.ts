import { cpus, freemem, release, totalmem } from 'node:os';
import type { Context } from '../../shared/service.ts';
import type { Lxc } from './lxc.ts';

/** Publishes what this host is and has: now, and every 30 s. */
export function hostInfo(context: Context, lxc: Lxc) {
  const { bus, host, settings, log } = context;
  let timer: NodeJS.Timeout | undefined;
  async function publish(): Promise<void> {
    const storage = await bus.request(host, 'snapshot.info', {});
    const { networks } = await bus.request(host, 'network.list', {});
    bus.retain(bus.topics.info(host), {
      host,
      version: context.version,
      address: settings.MANAGEMENT_ADDRESS,
      kernel: release(),
      cpus: cpus().length,
      mem_bytes: totalmem(),
      mem_free_bytes: freemem(),
      runtime: { name: 'lxc', version: await lxc.version() },
      storage,
      networks: networks.map((one) => one.network.name),
      ts: Date.now(),
    });
  }
  const quietly = () => void publish().catch((error: unknown) => log.error({ err: error }, 'host info'));
  return {
    start(): void {
      quietly();
      timer = setInterval(quietly, 30_000);
    },
    stop: () => clearInterval(timer),
  };
}
