import type { Metrics } from '../../shared/contract/host.ts';
import type { VserverState } from '../../shared/contract/vserver.ts';
import type { Context, Service } from '../../shared/service.ts';
import { networkOf, usageOf } from './cgroup.ts';
import { hostMeter, round } from './host.ts';

const DISK_AGAIN_MS = 300_000;

/** The monitor: figures of this host and of each vserver that runs on it. */
export function service(context: Context): Service {
  const { bus, host, settings, log } = context;
  const cpu = new Map<string, { seconds: number; at: number; pid: number }>();
  const disk = new Map<string, { bytes?: number; at: number }>();
  const meterHost = hostMeter(settings.VSERVER_DIR);
  let timer: NodeJS.Timeout | undefined;

  /** Counting a tree takes seconds: in the background, and seldom. */
  function diskOf(name: string): number | undefined {
    const known = disk.get(name);
    if (!known || performance.now() - known.at > DISK_AGAIN_MS) {
      disk.set(name, { ...known, at: performance.now() });
      bus
        .request(host, 'snapshot.usage', { name }, { timeoutMs: DISK_AGAIN_MS })
        .then(({ bytes }) => disk.set(name, { bytes, at: performance.now() }))
        .catch((error: unknown) => log.debug({ vserver: name, error: String(error) }, 'disk usage'));
    }
    return known?.bytes;
  }

  async function meter(vserver: VserverState & { pid: number }): Promise<Metrics | undefined> {
    const { name, pid } = vserver;
    const usage = await usageOf(pid);
    if (!usage) return undefined;
    const now = performance.now();
    const before = cpu.get(name);
    cpu.set(name, { seconds: usage.cpuSeconds, at: now, pid });
    const share =
      before?.pid === pid && now > before.at
        ? (100_000 * (usage.cpuSeconds - before.seconds)) / (now - before.at)
        : 0;
    const net = await networkOf(pid);
    const bytes = diskOf(name);
    return {
      ts: Date.now(),
      cpu_pct: round(Math.max(0, share)),
      cpu_seconds_total: round(usage.cpuSeconds),
      ...(vserver.limits.cpu ? { cpu_limit_cores: vserver.limits.cpu } : {}),
      mem_bytes: usage.memory,
      ...(usage.memoryLimit
        ? { mem_limit_bytes: usage.memoryLimit, mem_pct: round((100 * usage.memory) / usage.memoryLimit) }
        : {}),
      mem_hits_total: usage.memoryHits,
      procs: usage.procs,
      ...(usage.procsLimit ? { procs_limit: usage.procsLimit } : {}),
      procs_hits_total: usage.procsHits,
      io_read_bytes: usage.ioRead,
      io_write_bytes: usage.ioWrite,
      net_rx_bytes: net.rx,
      net_tx_bytes: net.tx,
      ...(bytes === undefined ? {} : { disk_bytes: bytes }),
      ...(vserver.since
        ? { uptime_seconds: Math.max(0, Math.round((Date.now() - vserver.since) / 1000)) }
        : {}),
    };
  }

  async function runningHere(): Promise<(VserverState & { pid: number })[]> {
    const { vservers } = await bus.request(host, 'host-agent.list', {});
    return vservers.filter((one): one is VserverState & { pid: number } => one.pid !== undefined);
  }

  async function measure(): Promise<void> {
    const running = await runningHere();
    for (const name of [...cpu.keys(), ...disk.keys()])
      if (!running.some((one) => one.name === name)) {
        cpu.delete(name);
        disk.delete(name);
      }
    const all = await Promise.all(
      running.map(async (one) => ({ name: one.name, metrics: await meter(one) })),
    );
    const ofHost = await meterHost(running.length);
    if (!bus.connected) return;
    await bus.publish(bus.topics.hostMetrics(host), ofHost, { qos: 0 });
    for (const { name, metrics } of all)
      if (metrics) await bus.publish(bus.topics.vserverMetrics(host, name), metrics, { qos: 0 });
  }

  return {
    name: 'monitor',
    handlers: {
      'monitor.memory': async () => {
        const used = (await runningHere()).map(async ({ name, pid }) => ({
          name,
          usage: await usageOf(pid),
        }));
        const all = await Promise.all(used);
        return {
          vservers: all.flatMap(({ name, usage }) => (usage ? [{ name, mem_bytes: usage.memory }] : [])),
        };
      },
    },
    async start() {
      timer = setInterval(
        () => void measure().catch((error: unknown) => log.warn({ error: String(error) }, 'metrics')),
        settings.METRICS_INTERVAL * 1000,
      );
    },
    async stop() {
      clearInterval(timer);
    },
  };
}
