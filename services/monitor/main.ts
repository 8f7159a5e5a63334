import { setImmediate as pause } from 'node:timers/promises';
import { cpus } from 'node:os';
import type { Data } from '../../shared/contract/commands.ts';
import type { Metrics } from '../../shared/contract/host.ts';
import type { RunningVserver } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Context, Service } from '../../shared/service.ts';
import { cgroupsOf, memoryOf, ownOf, pathIn, perCpu } from './cgroup.ts';
import { newestOf } from './checks/newest.ts';
import { openChecks } from './open.ts';
import { openDisks } from './disks.ts';
import { openWalls } from './firewall.ts';
import { hostMeter } from './host.ts';
import { openPasses } from './load.ts';
import { interfacesOf } from './network.ts';
import { readKernel } from './read.ts';
import { socketsOf } from './sockets.ts';
import { openMeters } from './vserver.ts';

/** The monitor: figures of this host and of each vserver that runs on it. No process is started for a sample, but what firewalls count is asked for. */
export function service(context: Context): Service {
  const { bus, host, settings, log } = context;
  const meters = openMeters();
  const passes = openPasses();
  const disks = openDisks(context);
  const walls = openWalls(context);
  const meterHost = hostMeter(settings.VSERVER_DIR);
  /** What was published last of each vserver, and of the host. */
  const latest = new Map<string, { pid: number; figures: Metrics }>();
  let newest: Metrics | undefined;
  let timer: NodeJS.Timeout | undefined;
  let measuring = false;

  const list = () => bus.request(host, 'host-agent.running', {});

  async function meter(vserver: RunningVserver, pass?: Awaited<ReturnType<typeof passes>>, keep = true) {
    const figures = await meters.of(vserver, pass, keep);
    const bytes = disks.of(vserver.name);
    return (
      figures && {
        ...figures,
        ...(bytes === undefined ? {} : { disk_bytes: bytes }),
        ...walls.of(vserver.name),
      }
    );
  }

  async function measure(): Promise<void> {
    const { running, hosted } = await list();
    const names = new Set(running.map(({ name }) => name));
    meters.keep(names);
    disks.keep(names);
    walls.renew();
    for (const name of latest.keys()) if (!names.has(name)) latest.delete(name);
    const pass = await passes(
      new Set(running.map(({ pid }) => ownOf(pathIn(readKernel(`/proc/${pid}/cgroup`))))),
    );
    for (const one of running) {
      const figures = await meter(one, pass);
      if (figures) latest.set(one.name, { pid: one.pid, figures });
      if (figures && bus.connected)
        await bus.publish(bus.topics.vserverMetrics(host, one.name), figures, { qos: 0 });
      await pause(); // others of this process may be moving something
    }
    newest = await meterHost({ running: running.length, hosted, processes: pass.all });
    if (bus.connected) await bus.publish(bus.topics.hostMetrics(host), newest, { qos: 0 });
  }
  /** A sample that takes longer than the time to the next one is not begun twice. */
  function sample(): void {
    if (measuring) return;
    measuring = true;
    void measure()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'metrics'))
      .finally(() => (measuring = false));
  }

  async function runningOne(name: string): Promise<RunningVserver> {
    const { state } = await bus.request(host, 'host-agent.show', { name });
    if (state.pid !== undefined) return { ...state, pid: state.pid };
    throw new VsError(
      'refused',
      `${name} does not run on ${host}, so it has no figures; it is ${state.state}`,
    );
  }
  const checks = openChecks(context, {
    running: async () => (await list()).running,
    runningOne,
    of: async (vserver, before) =>
      newestOf(latest.get(vserver.name), vserver.pid, before) ?? meter(vserver, undefined, false),
    ofHost: () => newest,
  });
  const words = (values: Record<string, string | number | boolean | undefined>) =>
    Object.fromEntries(
      Object.entries(values).flatMap(([key, value]) =>
        value === undefined || value === '' ? [] : [[key, String(value)]],
      ),
    );

  async function statsOfHost(): Promise<Data<'monitor.stats'>> {
    return {
      figures: newest ?? (await meterHost({ running: 0, hosted: 0, processes: 0 })),
      facts: words({ host, model: cpus()[0]?.model, cores: cpus().length }),
      interfaces: interfacesOf(readKernel('/proc/self/net/dev')),
      cores: [],
    };
  }
  async function statsOf(name: string): Promise<Data<'monitor.stats'>> {
    const { state, config } = await bus.request(host, 'host-agent.show', { name });
    const { pid } = state;
    const { address, address6, mac, network, enabled, uuid, epoch } = state;
    const { prefix, domain, nameserver } = config;
    const figures = pid === undefined ? undefined : await meter({ ...state, pid }, undefined, false);
    return {
      figures: figures ?? {},
      facts: words({
        host,
        vserver: name,
        state: state.state,
        enabled,
        uuid,
        epoch,
        network,
        address: address && `${address}/${prefix}`,
        address6,
        mac,
        domain,
        nameserver,
      }),
      interfaces: pid === undefined ? [] : interfacesOf(readKernel(`/proc/${pid}/net/dev`)),
      cores: pid === undefined ? [] : perCpu(cgroupsOf(readKernel(`/proc/${pid}/cgroup`))),
    };
  }

  return {
    name: 'monitor',
    handlers: {
      'monitor.memory': async () => ({
        vservers: (await list()).running.flatMap(({ name, pid }) => {
          const bytes = memoryOf(pid);
          return bytes === undefined ? [] : [{ name, mem_bytes: bytes }];
        }),
      }),
      'monitor.stats': ({ name }) => (name === undefined ? statsOfHost() : statsOf(name)),
      'monitor.sockets': async ({ name }) => socketsOf((await runningOne(name)).pid),
      ...checks.handlers,
    },
    async start() {
      timer = setInterval(sample, settings.METRICS_INTERVAL * 1000);
      await checks.start();
    },
    async stop() {
      clearInterval(timer);
      await checks.stop();
    },
  };
}
