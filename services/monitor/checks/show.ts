import { parseMonitor } from '../../../config/monitor.ts';
import { type Pause, isPaused } from '../../../config/monitor/mend.ts';
import type { MonitorConfig, Rule } from '../../../config/monitor/rule.ts';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import type { Metrics } from '../../../shared/contract/host.ts';
import type { MonitorCheck } from '../../../shared/contract/monitor.ts';
import type { RunningVserver } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Context } from '../../../shared/service.ts';
import { pathsFor } from '../../../shared/paths.ts';
import { readKernel } from '../read.ts';
import { lookAtDaemon } from './daemons.ts';
import { type Reading, isBad } from './evaluate.ts';
import type { createFiles } from './files.ts';
import { nothingKept } from './keep.ts';
import { guestOf, lookAtFigures } from './look.ts';
import type { Probe } from './probe.ts';
import { lookAtUpkeep, upkeepChecks } from './upkeep.ts';
import type { Watch } from './watch.ts';

interface Parts {
  context: Context;
  watch: Watch;
  files: ReturnType<typeof createFiles>;
  probe: Probe;
  runningOne: (name: string) => Promise<RunningVserver>;
  figuresOf: (vserver: RunningVserver, before: Metrics | undefined) => Promise<Metrics | undefined>;
  hostPause: () => Pause | undefined;
}
const rowOf = ({ check, key, line, severity, threshold, clear, hits, clearHits }: Rule) => ({
  check,
  key,
  line,
  severity,
  threshold,
  clear,
  hits,
  clearHits,
});

/** Is nothing of it mended now, and for whose sake? */
function pausedBy(own: Pause | undefined, ofHost: Pause | undefined) {
  const now = Date.now();
  const [by, one] = isPaused(ofHost) ? (['host', ofHost] as const) : (['vserver', own] as const);
  if (!isPaused(one)) return {};
  return { paused: { by, ...(one?.until !== undefined && one.until > now ? { until: one.until } : {}) } };
}

/** Looks that change nothing: what is checked and fires, and all checks once, at this moment. */
export function createShow({ context, watch, files, probe, runningOne, figuresOf, hostPause }: Parts) {
  const { bus, host } = context;

  function parsed(text: string, file: string): { config: MonitorConfig; faults: string[] } {
    try {
      return { config: parseMonitor(text, file), faults: [] };
    } catch (error) {
      return { config: parseMonitor('', file), faults: (error as Error).message.split('\n') };
    }
  }

  async function show({ name, text }: Args<'monitor.show'>): Promise<Data<'monitor.show'>> {
    const { state } = await bus.request(host, 'host-agent.show', { name });
    const now = await files.read(name);
    const { config, faults } = parsed(now.text, now.file);
    const one = watch.of(name);
    // while the file has a fault, what was in force before it is
    const inForce = faults.length > 0 && one ? one.subject.config : config;
    const checks = inForce.rules.map((rule): MonitorCheck => {
      const firing = one?.subject.kept.checks[rule.check]?.firing;
      return {
        ...rowOf(rule),
        firing: firing !== undefined,
        ...(firing ? { since: firing.since, message: firing.text } : {}),
      };
    });
    return {
      name,
      enabled: inForce.enabled,
      running: state.pid !== undefined,
      pollSeconds: inForce.pollSeconds,
      mailto: inForce.mailto,
      ...pausedBy(inForce.pause, hostPause()),
      hash: now.hash,
      ...(text ? { text: now.text } : {}),
      checks: text ? [] : checks,
      faults,
    };
  }

  /** Every check of a configuration, once, on what runs; `known`: what the polls before have left. */
  async function looked(
    config: MonitorConfig,
    vserver: RunningVserver,
    known?: ReturnType<Watch['of']>,
  ): Promise<Data<'monitor.check'>> {
    const { name } = vserver;
    const kept = structuredClone(known?.subject.kept ?? nothingKept());
    const before = structuredClone(known?.before ?? { fills: [] });
    const guest = guestOf(vserver);
    const daemons = config.daemons.map(async (daemon): Promise<Record<string, Reading>> => {
      const reading = await lookAtDaemon(daemon, guest, { bus, host, probe });
      return reading ? { [`daemon-${daemon.name}`]: reading } : {};
    });
    const figures = (await figuresOf(vserver, known?.figures)) ?? {};
    const readings: Record<string, Reading> = {
      ...(await lookAtFigures(config, vserver, figures, kept, before)),
    };
    const upkeep = lookAtUpkeep(config, vserver, pathsFor(context.settings).rootfs(name));
    Object.assign(readings, ...(await Promise.all([...daemons, upkeep])));
    return {
      name,
      checks: config.rules.map((rule) => {
        const reading = readings[rule.check];
        const bad = reading?.value != null && isBad(rule, reading.value);
        const value = reading?.value ?? undefined;
        return {
          ...rowOf(rule),
          result: reading === undefined ? 'unknown' : reading.value === null ? 'none' : bad ? 'bad' : 'ok',
          ...(value === undefined ? {} : { value: Math.round(value * 100) / 100 }),
          ...(bad || rule.check.startsWith('daemon-') || (upkeepChecks.includes(rule.check) && reading?.text)
            ? { message: reading?.text ?? '' }
            : {}),
        };
      }),
    };
  }
  async function check({ name }: Args<'monitor.check'>): Promise<Data<'monitor.check'>> {
    const vserver = await runningOne(name);
    const { file, text } = await files.read(name);
    return looked(parseMonitor(text, file), vserver, watch.of(name));
  }
  /** The same of what is no vserver of this host. Throws 'refused' when the process is another one's. */
  async function examine({ name, pid, text }: Args<'monitor.examine'>): Promise<Data<'monitor.check'>> {
    if (!readKernel(`/proc/${pid}/cgroup`).includes(`/lxc.payload.${name}`))
      throw new VsError('refused', `process ${pid} of ${host} is none of ${name}`);
    return looked(parseMonitor(text, 'monitor.conf'), { name, pid, limits: {} });
  }
  return { show, check, examine };
}
