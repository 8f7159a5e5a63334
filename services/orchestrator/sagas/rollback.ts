import { type VserverConfig, vserverConfig } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { seconds } from '../text.ts';
import { answerStep, keep, startStep } from './steps.ts';

export interface RollbackPlan {
  name: string;
  host: string;
  epoch: number;
  /** It is stopped and started. */
  running: boolean;
  snapshot: string;
  /** The snapshot of what is there now. */
  safety: string;
  /** Limits, boot plan and domain become those of then. */
  settings?: boolean;
}

/** Who it is and where it lives stays; with `settings` all else is as it was then. */
export function configAfter(now: VserverConfig, then: VserverConfig, settings: boolean): VserverConfig {
  if (!settings) return now;
  const { limits, boot, enabled, domain, nameserver } = then;
  const { boot: _boot, domain: _domain, nameserver: _nameserver, ...mine } = now;
  return {
    ...mine,
    limits,
    enabled,
    ...(boot ? { boot } : {}),
    ...(domain ? { domain } : {}),
    ...(nameserver ? { nameserver } : {}),
  } as VserverConfig;
}

/**
 * The steps of a rollback, on the host of the vserver; its ownership is not touched. What is there now is kept as a snapshot
 * before it goes aside, and waits in staging until all has gone well: an undo gives it back.
 */
export function rollbackSteps(plan: RollbackPlan, agents: Agents): Step[] {
  const { name, host, epoch, running, snapshot, safety } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const steps: (Step | false)[] = [
    {
      name: 'lock',
      host,
      async do(context) {
        const args = { ...both(context), ttl: 86_400_000 };
        const held = await agents.ask(host, 'host-agent.lock', args, context);
        if (held.epoch !== epoch)
          throw new VsError('conflict', `${name} has epoch ${held.epoch} now, not ${epoch}`);
        if ((held.state === 'running') !== running || (!running && held.state !== 'stopped'))
          throw new VsError(
            'conflict',
            `${name} is ${held.state} now; it was not when the rollback was asked for`,
          );
        const { config } = await agents.ask(host, 'host-agent.show', { name }, context);
        context.say(`epoch ${epoch}`);
        return { config };
      },
      undo: async (context) => void (await agents.ask(host, 'host-agent.unlock', both(context), context)),
    },
    {
      name: 'stage',
      host,
      async do(context) {
        const { config: now } = context.outputs['lock'] as { config: VserverConfig };
        const { config: then } = await agents.ask(
          host,
          'snapshot.return-to',
          { ...both(context), snapshot },
          context,
          { timeoutMs: 600_000 },
        );
        const config = plan.settings ? configAfter(now, vserverConfig.parse(then), true) : now;
        const args = { ...both(context), config, fresh: false };
        const { note } = await agents.ask(host, 'host-agent.adapt', args, context, { timeoutMs: 120_000 });
        await keep(agents, { name, host, life: undefined, flush: true }, context);
        context.say(note ?? `a writable copy of ${snapshot}`);
      },
      undo: async (context) =>
        void (await agents.ask(host, 'snapshot.discard', both(context), context, { timeoutMs: 600_000 })),
    },
    running && {
      name: 'stop',
      host,
      downtime: true,
      resumes: true,
      async do(context) {
        const args = { ...both(context), epoch };
        await agents.ask(host, 'host-agent.stop', args, context, { timeoutMs: 120_000 });
        context.say('stopped');
      },
      undo: async (context) =>
        void (await agents.ask(host, 'host-agent.start', { ...both(context), epoch }, context, {
          timeoutMs: 120_000,
        })),
    },
    {
      name: 'keep',
      host,
      downtime: running,
      async do(context) {
        const note = `before the rollback to ${snapshot}`;
        const by = context.issuer ?? 'unknown';
        await agents.ask(host, 'snapshot.safety', { ...both(context), snapshot: safety, note, by }, context);
        context.say(`what is there now is ${safety}`);
      },
      undo: async (context) =>
        void (await agents.ask(host, 'snapshot.drop', { ...both(context), snapshots: [safety] }, context, {
          timeoutMs: 600_000,
        })),
    },
    {
      name: 'exchange',
      host,
      downtime: running,
      async do(context) {
        await agents.ask(host, 'host-agent.detach', both(context), context);
        await agents.ask(host, 'snapshot.exchange', { ...both(context), back: false }, context);
        if (!running) await agents.ask(host, 'host-agent.configure', both(context), context);
        context.say(`${snapshot} is in its place`);
      },
      async undo(context) {
        await agents.ask(host, 'host-agent.detach', both(context), context);
        await agents.ask(host, 'snapshot.exchange', { ...both(context), back: true }, context);
        if (!running) await agents.ask(host, 'host-agent.configure', both(context), context);
      },
    },
    running && {
      ...startStep(agents, { name, host, epoch }),
      async undo(context) {
        const args = { ...both(context), force: true };
        await agents.ask(host, 'host-agent.stop', args, context, { timeoutMs: 120_000 });
      },
    },
    running && answerStep(agents, { name, host, epoch }),
    {
      name: 'let go',
      host,
      pnr: true, // what was there before lies in its snapshot from now on
      async do(context) {
        await agents.ask(host, 'snapshot.discard', both(context), context, { timeoutMs: 600_000 });
        await agents.ask(host, 'host-agent.unlock', both(context), context);
      },
    },
  ];
  return steps.filter((step) => step !== false);
}

/** The sentences at the end of a rollback. */
export const rollbackTexts = ({ name, host, running, snapshot, safety }: RollbackPlan) => ({
  closing(_outputs: unknown, state: { downtimeMs?: number }): string {
    const down = state.downtimeMs === undefined ? '' : ` It was down for ${seconds(state.downtimeMs)}.`;
    return `${name} is as it was in ${snapshot}, and ${running ? 'runs' : 'is stopped'} on ${host}.${down} What was there before is kept: vs snapshot rollback ${name} ${safety}`;
  },
  failed(reason: string, state: { downtimeMs?: number }): string {
    const down = state.downtimeMs === undefined ? '' : ` (it was down for ${seconds(state.downtimeMs)})`;
    return `${name} stays as it was before the rollback${running ? `, running${down}` : ''}: ${reason}.`;
  },
});
