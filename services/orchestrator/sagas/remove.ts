import { VsError } from '../../../shared/errors.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { day, size } from '../text.ts';

export type RemovePlan = VserverState & {
  /** It does not stay in the trash. */
  purge?: boolean;
};

/** The steps of a remove: ownership goes first, then the tree goes to the trash. */
export function removeSteps(vserver: RemovePlan, agents: Agents): Step[] {
  const { name, host, epoch, uuid, network, purge } = vserver;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const steps: (Step | false)[] = [
    {
      name: 'lock',
      host,
      async do(context) {
        const now = await agents.ask(host, 'host-agent.lock', { ...both(context), ttl: 86_400_000 }, context);
        if (now.state !== 'stopped') throw new VsError('refused', `${name} is ${now.state}; stop it first`);
        // since it was decided it may have got another name, or another one its name
        if (now.epoch !== epoch || now.uuid !== uuid)
          throw new VsError('conflict', `${name} on ${host} is not the one that was to be removed any more`);
      },
      undo: async (context) => void (await agents.ask(host, 'host-agent.unlock', both(context), context)),
    },
    epoch > 0 && {
      name: 'give up',
      host,
      pnr: true,
      async do(context) {
        await agents.removed?.({ uuid, name, host, epoch, ts: Date.now() });
        await agents.ask(host, 'host-agent.release', { ...both(context), epoch, to: 'trash' }, context);
      },
    },
    {
      name: 'trash',
      host,
      pnr: true,
      async do(context) {
        await agents.ask(host, 'host-agent.detach', both(context), context);
        const { until } = await agents.ask(host, 'snapshot.trash', both(context), context, {
          timeoutMs: 600_000,
        });
        await agents.ask(host, 'network.down', { network }, context);
        if (!purge) await agents.ask(host, 'host-agent.unlock', both(context), context);
        return { until };
      },
    },
    purge === true && {
      name: 'purge',
      host,
      pnr: true,
      async do(context) {
        const entries = [{ name, entry: context.id }];
        const { freed } = await agents.ask(host, 'snapshot.empty', { entries }, context, {
          timeoutMs: 3_600_000,
        });
        await agents.ask(host, 'host-agent.unlock', both(context), context);
        context.say(freed > 0 ? `${size(freed)} are free again` : 'destroyed');
      },
    },
  ];
  return steps.filter((step) => step !== false);
}

export const removeTexts = (vserver: RemovePlan) => ({
  closing: (outputs: Record<string, Record<string, unknown>>): string =>
    vserver.purge
      ? `${vserver.name} is removed from ${vserver.host}, for good.`
      : `${vserver.name} is removed from ${vserver.host}; it stays in the trash there until ${day(Number(outputs['trash']?.['until'] ?? Date.now()))}: vs trash restore ${vserver.name}`,
  failed: (reason: string): string => `${vserver.name} stays on ${vserver.host}: ${reason}.`,
});
