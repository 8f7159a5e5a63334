import { firstOf } from '../../../shared/addresses.ts';
import type { VserverConfig } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { addressStep, adoptStep, firstSteps, lockStep, ownStep } from './steps.ts';

export interface RestorePlan {
  /** What it is called from now on. */
  name: string;
  host: string;
  /** The entry of the trash. */
  of: string;
  entry: string;
  /** Above every one that any host has seen of this uuid. */
  epoch: number;
  config: VserverConfig;
  /** As it lies in the trash: a restore that is undone puts it back so. */
  was: VserverConfig;
  /** It lives elsewhere, so this one becomes another vserver. */
  fresh: boolean;
  start: boolean;
}

/** The steps of a restore from the trash of a host, on that host. */
export function restoreSteps(plan: RestorePlan, agents: Agents): Step[] {
  const { name, host, of, entry, epoch, config, was, fresh } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  return [
    lockStep(agents, { name, host }),
    addressStep(agents, { host, config }),
    {
      name: 'recall',
      host,
      async do(context) {
        await agents.ask(host, 'snapshot.recall', { ...both(context), of, entry }, context);
        context.say(`out of the trash of ${host}`);
      },
      async undo(context) {
        await agents.ask(host, 'snapshot.return', { ...both(context), of, entry }, context);
        await agents.ask(host, 'snapshot.discard', both(context), context);
      },
    },
    {
      name: 'adapt',
      host,
      async do(context) {
        const args = { ...both(context), config, fresh };
        const { note } = await agents.ask(host, 'host-agent.adapt', args, context, { timeoutMs: 120_000 });
        // a vserver of its own has another uuid, and the snapshots that lie here are its own from now on
        if (fresh) {
          const mine = { name, from: was.uuid, to: config.uuid };
          await agents.ask(host, 'snapshot.rekey', mine, context);
        }
        context.say(note ?? (fresh ? 'one of its own' : 'as it was'));
      },
      async undo(context) {
        const args = { ...both(context), config: was, fresh: false };
        await agents.ask(host, 'host-agent.adapt', args, context).catch((error: unknown) => {
          if (!(error instanceof VsError) || error.code !== 'conflict') throw error; // it never came to staging
        });
        if (!fresh) return;
        const mine = { name, from: config.uuid, to: was.uuid };
        await agents.ask(host, 'snapshot.rekey', mine, context, { tag: 'back' });
      },
    },
    adoptStep(agents, { name, host, downtime: false, configure: !plan.start }),
    ownStep(agents, { name, host, epoch, back: 'trash', says: `epoch ${epoch}` }),
    ...(plan.start ? firstSteps(agents, { name, host, epoch }) : []),
    {
      name: 'unlock',
      host,
      pnr: true, // what is not held any more is not taken back: a person may use it already
      async do(context) {
        await agents.ask(host, 'snapshot.discard', both(context), context);
        await agents.ask(host, 'host-agent.unlock', both(context), context);
      },
    },
  ];
}

/** The sentences at the end of a restore. */
export const restoreTexts = (plan: RestorePlan) => ({
  closing: (): string =>
    `${plan.name} ${plan.start ? 'runs' : 'is'} on ${plan.host}${plan.fresh ? ', as a vserver of its own,' : ' again'} with ${firstOf(plan.config)}.${plan.start ? '' : ` Start it with: vs start ${plan.name}`}`,
  failed: (reason: string): string => `${plan.of} stays in the trash of ${plan.host}: ${reason}.`,
});
