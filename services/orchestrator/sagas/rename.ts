import type { VserverConfig } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { seconds } from '../text.ts';
import { keep, answerStep, startStep } from './steps.ts';

export interface RenamePlan {
  name: string;
  to: string;
  host: string;
  epoch: number;
  network: string;
  /** It is stopped and started. */
  running: boolean;
}

/**
 * The steps of a rename. The old name's ownership ends before anything moves, the new one's begins when all of it is in
 * its place: in between nothing of it can start, on no name. The tree waits in staging meanwhile, and stays whole.
 */
export function renameSteps(plan: RenamePlan, agents: Agents): Step[] {
  const { name, to, host, epoch, network, running } = plan;
  const old = (context: { id: string }) => ({ name, saga: context.id });
  const now = (context: { id: string }) => ({ name: to, saga: context.id });
  const steps: (Step | false)[] = [
    {
      name: 'lock',
      host,
      async do(context) {
        const ttl = 86_400_000;
        const held = await agents.ask(host, 'host-agent.lock', { ...old(context), ttl }, context);
        if (held.epoch !== epoch)
          throw new VsError('conflict', `${name} has epoch ${held.epoch} now, not ${epoch}`);
        if (!running && held.state !== 'stopped')
          throw new VsError('refused', `${name} is ${held.state} now; stop it, or give --restart`);
        await agents.ask(host, 'host-agent.lock', { ...now(context), ttl }, context, { tag: 'to' });
        const { config } = await agents.ask(host, 'host-agent.show', { name }, context);
        context.say(`epoch ${epoch}`);
        return { config };
      },
      async undo(context) {
        await agents.ask(host, 'host-agent.unlock', old(context), context);
        await agents.ask(host, 'host-agent.unlock', now(context), context, { tag: 'to' });
      },
    },
    running && {
      name: 'prepare',
      host,
      async do(context) {
        // a fault in its firewall.conf would keep it from its start, past the point of no return
        await agents.ask(host, 'firewall.render', { name }, context);
        context.say('its rules are good');
      },
    },
    running && {
      name: 'stop',
      host,
      downtime: true,
      resumes: true,
      async do(context) {
        await agents.ask(host, 'host-agent.stop', { ...old(context), epoch }, context, {
          timeoutMs: 120_000,
        });
        context.say('stopped');
      },
      undo: async (context) =>
        void (await agents.ask(host, 'host-agent.start', { ...old(context), epoch }, context, {
          timeoutMs: 120_000,
        })),
    },
    {
      name: 'give up',
      host,
      downtime: running,
      pnr: true,
      async do(context) {
        await agents.ask(host, 'host-agent.release', { ...old(context), epoch, to }, context);
        context.say(`nobody owns ${name} any more`);
      },
    },
    {
      name: 'rename',
      host,
      downtime: running,
      async do(context) {
        const { config } = context.outputs['lock'] as { config: VserverConfig };
        await agents.ask(host, 'host-agent.detach', old(context), context);
        await agents.ask(host, 'snapshot.restage', { ...old(context), to }, context, { timeoutMs: 600_000 });
        const { note } = await agents.ask(
          host,
          'host-agent.adapt',
          { ...now(context), config: { ...config, name: to }, fresh: false },
          context,
        );
        // what it wrote before its stop is on the disk before it is owned anew
        await keep(agents, { name: to, host, life: undefined, flush: true }, context);
        context.say(note ?? 'files, host name and hosts');
      },
    },
    {
      name: 'adopt',
      host,
      downtime: running,
      async do(context) {
        await agents.ask(host, 'snapshot.adopt', now(context), context);
        context.say('in its place');
      },
    },
    {
      name: 'take over',
      host,
      downtime: running,
      async do(context) {
        await agents.ask(host, 'host-agent.claim', { ...now(context), epoch: epoch + 1 }, context);
        if (!running) await agents.ask(host, 'host-agent.configure', now(context), context);
        context.say(`${host} owns ${to}, epoch ${epoch + 1}`);
      },
    },
    running && startStep(agents, { name: to, host, epoch: epoch + 1 }),
    running && answerStep(agents, { name: to, host, epoch: epoch + 1 }),
    {
      name: 'clean up',
      host,
      async do(context) {
        await agents.ask(host, 'snapshot.discard', now(context), context, { timeoutMs: 600_000 });
        await agents.ask(host, 'network.down', { network }, context);
        await agents.ask(host, 'host-agent.unlock', now(context), context, { tag: 'to' });
        await agents.ask(host, 'host-agent.unlock', old(context), context);
      },
    },
  ];
  return steps.filter((step) => step !== false);
}

/** The sentences at the end of a rename. */
export const renameTexts = (plan: RenamePlan) => ({
  closing(_outputs: unknown, state: { downtimeMs?: number }): string {
    const down = state.downtimeMs === undefined ? '' : ` It was down for ${seconds(state.downtimeMs)}.`;
    return `${plan.name} is called ${plan.to} now, and ${plan.running ? 'runs' : 'is'} on ${plan.host}.${down}`;
  },
  failed(reason: string, state: { downtimeMs?: number }): string {
    const down = state.downtimeMs === undefined ? '' : ` (it was down for ${seconds(state.downtimeMs)})`;
    return `${plan.name} keeps its name${plan.running ? `, running${down}` : ''}: ${reason}.`;
  },
});
