import type { Args } from '../../shared/contract/commands.ts';
import { keepsSnapshots } from '../../shared/contract/snapshot.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';
import type { Turns } from '../../shared/turns.ts';
import { changedPlan } from './boot-order.ts';
import { loadVserver, saveVserver } from './files.ts';
import type { LimitsOfHost } from './limits/limits.ts';
import { press } from './limits/press.ts';
import type { Locks } from './locks.ts';
import { requireOwner } from './ownership.ts';
import { requireRunning } from './require-running.ts';
import type { Runtime } from './runtime.ts';
import type { States } from './state.ts';

interface Parts {
  context: Context;
  paths: Paths;
  locks: Locks;
  runtime: Runtime;
  states: States;
  inTurn: Turns;
  limits: Pick<LimitsOfHost, 'ofHost'>;
}

/** Lets what is paused run on. The caller has made sure that this host owns it. */
export async function runOn(
  { context, runtime, states }: Pick<Parts, 'context' | 'runtime' | 'states'>,
  config: VserverConfig,
): Promise<VserverState> {
  const { name } = config;
  await runtime.thaw(config);
  context.bus.event('host-agent', 'resumed', `${name} runs on, on ${context.host}`, { vserver: name });
  return states.again(name);
}

/** What only people do with a vserver: pause it, resume it, say when it boots. One command at a time for each. */
export function createControl(parts: Parts) {
  const { context, paths, locks, runtime, states, inTurn } = parts;
  const { settings, host, bus } = context;

  /** Nobody holds it, and this host owns the one whose files lie here. */
  async function mine(name: string): Promise<VserverConfig> {
    await locks.require(name, undefined);
    const config = await loadVserver(paths, host, name);
    const own = await requireOwner(settings, host, name);
    if (own.uuid !== config.uuid)
      throw new VsError(
        'refused',
        `${host} owns another ${name} (${own.uuid}) than the one whose files lie here`,
      );
    return config;
  }
  return {
    mine,
    pause: (name: string) =>
      inTurn(name, async () => {
        await mine(name);
        const now = await states.of(name);
        if (now.state === 'frozen') return now;
        if (now.state !== 'running')
          throw new VsError('refused', `${name} is ${now.state} on ${host}, so it cannot be paused`);
        await runtime.pause(name);
        bus.event('host-agent', 'paused', `${name} is paused on ${host}`, { vserver: name });
        return states.again(name);
      }),
    resume: (name: string) =>
      inTurn(name, async () => {
        const config = await mine(name);
        const now = await states.of(name);
        if (now.state === 'running') return now;
        if (now.state !== 'frozen')
          throw new VsError(
            'refused',
            `${name} is ${now.state} on ${host}, not paused; start it with: vs start ${name}`,
          );
        return runOn(parts, config);
      }),
    press: ({ name, bytes }: Args<'host-agent.press'>) =>
      inTurn(name, async () => {
        await mine(name);
        const { pid, state } = await states.of(name);
        requireRunning(name, host, state);
        if (pid !== undefined) await press(pid, (await parts.limits.ofHost()).layout, bytes);
      }),
    snapshotPlan: ({ name, plan }: Args<'host-agent.snapshot-plan'>) =>
      inTurn(name, async () => {
        const { snapshotPlan: _before, ...config } = await mine(name);
        if (plan) {
          const info = await bus.request(host, 'snapshot.info', {});
          if (!keepsSnapshots(info))
            throw new VsError(
              'refused',
              `${host} keeps its vservers on storage ${info.storage}, which keeps no snapshots: keep backups of ${name} instead (vs backup run ${name})`,
            );
        }
        await saveVserver(paths, {
          ...config,
          ...(plan ? { snapshotPlan: plan } : {}),
        } as VserverConfig);
      }),
    boot: ({ name, enabled, ...change }: Args<'host-agent.boot'>) =>
      inTurn(name, async () => {
        const isChange = enabled !== undefined || Object.values(change).some((value) => value !== undefined);
        if (isChange) {
          await locks.require(name, undefined);
          const { boot: before, ...config } = await loadVserver(paths, host, name);
          const boot = changedPlan(before, change);
          await saveVserver(paths, {
            ...config,
            enabled: enabled ?? config.enabled,
            ...(boot ? { boot } : {}),
          } as VserverConfig);
        }
        return states.of(name);
      }),
  };
}
export type Control = ReturnType<typeof createControl>;
