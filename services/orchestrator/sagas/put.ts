import type { FurtherAddress } from '../../../shared/contract/vserver.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { type Route, pass } from '../passes.ts';
import { groups, moment, size } from '../text.ts';
import { addressStep, adoptStep, keep, lockStep, ownStep, stageStep } from './steps.ts';

/** A copy that becomes a vserver on a host: of the master, or (recover) of the trash of a host. */
export interface PutPlan extends Route {
  files: number;
  uuid: string;
  /** Higher than any that anybody ever saw of it. */
  epoch: number;
  network: string;
  address?: string | undefined;
  address6?: string;
  more?: FurtherAddress[];
  /** When the copy was taken. */
  taken: number;
}

type Both = (context: { id: string }) => { name: string; saga: string };
const bothOf =
  (name: string): Both =>
  (context) => ({ name, saga: context.id });

/** The name is held on the target, its address is free, and there is room. */
export function roomSteps(plan: PutPlan, agents: Agents): Step[] {
  const { name, target, copy } = plan;
  return [
    lockStep(agents, { name, host: target }),
    addressStep(agents, { host: target, config: plan, of: name }),
    stageStep(agents, { name, host: target, tree: copy === 'rsync', bytes: () => plan.bytes }),
  ];
}

/** The copy comes into the staging of the target, and is whole. */
export function carrySteps(plan: PutPlan, agents: Agents): Step[] {
  const { name, source, target, copy } = plan;
  const both = bothOf(name);
  return [
    {
      name: 'copy',
      host: source,
      async do(context) {
        const sent = await pass(agents, plan, context, { final: true, tag: 'copy', total: plan.bytes });
        context.say(size(sent.bytes));
        return { ...sent };
      },
      async undo(context) {
        await agents.ask(source, 'transfer.close', both(context), context);
        await agents.ask(source, 'snapshot.remove', both(context), context);
      },
    },
    {
      name: 'verify',
      host: target,
      async do(context) {
        const {
          label: sent,
          treeBytes,
          treeFiles,
          life,
        } = context.outputs['copy'] as {
          label?: string;
          treeBytes?: number;
          treeFiles?: number;
          life?: string;
        };
        const label = copy === 'btrfs-send' ? sent : undefined;
        const whole = { ...both(context), copy, label, treeBytes, treeFiles };
        await agents.ask(target, 'transfer.verify', whole, context, { timeoutMs: 600_000 });
        if (label) await agents.ask(target, 'snapshot.promote', { ...both(context), label }, context);
        await keep(agents, { name, host: target, life, flush: true }, context);
        await agents.ask(source, 'snapshot.remove', both(context), context, { timeoutMs: 600_000 });
        context.say(label ? 'received whole' : `${groups(treeFiles ?? 0)} files agree`);
      },
    },
  ];
}

/** The staging goes, and with it what an undo would need to know its tree; then the name is free for other sagas. */
export const unlockStep = (plan: PutPlan, agents: Agents): Step => ({
  name: 'unlock',
  host: plan.target,
  pnr: true,
  async do(context) {
    const both = bothOf(plan.name)(context);
    await agents.ask(plan.target, 'snapshot.discard', both, context, { timeoutMs: 600_000 });
    await agents.ask(plan.target, 'host-agent.unlock', both, context);
  },
});

/** The steps of a put: the copy stays where it is, a vserver that is stopped and disabled comes to be on the target. */
export function putSteps(plan: PutPlan, agents: Agents): Step[] {
  const { name, target, epoch } = plan;
  return [
    ...roomSteps(plan, agents),
    ...carrySteps(plan, agents),
    adoptStep(agents, { name, host: target, downtime: false, configure: true }),
    ownStep(agents, { name, host: target, epoch, back: 'nobody', says: `${target} owns it, epoch ${epoch}` }),
    unlockStep(plan, agents),
  ];
}

export const putTexts = (plan: PutPlan) => ({
  closing: (): string =>
    `${plan.name} is on ${plan.target}, as it was at ${moment(plan.taken)}; it is stopped and disabled. Start it with: vs start ${plan.name}`,
  failed: (reason: string): string =>
    `${plan.name} was not brought to ${plan.target}: ${reason}. Nothing of it is left there; the copy on the master stays as it was.`,
});
