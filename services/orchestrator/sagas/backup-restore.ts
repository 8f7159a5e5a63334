import { firstOf } from '../../../shared/addresses.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { type Route, pass } from '../passes.ts';
import type { BackupRestorePlan } from '../plans/backup-restore.ts';
import { day, groups, moment, size } from '../text.ts';
import { holdStep, letGo } from './hold-backup.ts';
import {
  addressStep,
  adoptStep,
  answerStep,
  firstSteps,
  keep,
  lockStep,
  ownStep,
  stageStep,
  startStep,
} from './steps.ts';

const LONG_MS = 48 * 3_600_000;
type Fetching = Pick<BackupRestorePlan, 'of' | 'source' | 'backup' | 'bytes'>;
type Both = { name: string; saga: string };

/** The tree of a backup comes into the staging of the target, and is whole there. */
export function copySteps(plan: Route, agents: Agents): Step[] {
  const { name, source, target } = plan;
  const both = (context: { id: string }): Both => ({ name, saga: context.id });
  return [
    {
      name: 'copy',
      host: source,
      async do(context) {
        const sent = await pass(agents, plan, context, { final: true, tag: 'copy', total: plan.bytes });
        context.say(size(sent.bytes));
        return { ...sent };
      },
      undo: async (context) => void (await agents.ask(source, 'transfer.close', both(context), context)),
    },
    {
      name: 'verify',
      host: target,
      async do(context) {
        const { treeBytes, treeFiles, life } = context.outputs['copy'] as {
          treeBytes?: number;
          treeFiles?: number;
          life?: string;
        };
        const whole = { ...both(context), copy: plan.copy, treeBytes, treeFiles };
        await agents.ask(target, 'transfer.verify', whole, context, { timeoutMs: 600_000 });
        await keep(agents, { name, host: target, life, flush: true }, context);
        context.say(`${groups(treeFiles ?? 0)} files agree`);
      },
    },
  ];
}

/** The staged tree becomes what it shall be. */
function adaptStep({ name, target, config, fresh }: BackupRestorePlan, agents: Agents): Step {
  return {
    name: 'adapt',
    host: target,
    async do(context) {
      const args = { name, saga: context.id, config, fresh };
      const { note } = await agents.ask(target, 'host-agent.adapt', args, context, { timeoutMs: 120_000 });
      context.say(note ?? (fresh ? 'one of its own' : 'as it was'));
    },
  };
}

/** The tree of a backup that does not lie anywhere as a tree comes onto the master, for this saga. */
export function fetchStep(plan: Fetching, agents: Agents): Step {
  const { of, source, backup } = plan;
  return {
    name: 'fetch',
    host: source,
    async do(context) {
      const args = { ...backup, vserver: of, saga: context.id };
      await agents.ask('master', 'repository.fetch', args, context, { timeoutMs: LONG_MS });
      context.say(`${size(plan.bytes)} from ${backup.repository}`);
    },
    undo: (context) => release(plan, agents, context),
  };
}
/** What was fetched for it goes. */
export const release = async (
  plan: Pick<Fetching, 'backup'>,
  agents: Agents,
  context: StepContext,
): Promise<void> =>
  void (await agents.ask(
    'master',
    'repository.release',
    { repository: plan.backup.repository, saga: context.id },
    context,
    { timeoutMs: 3_600_000 },
  ));

/** It is new on its host. */
function newSteps(plan: BackupRestorePlan, agents: Agents): Step[] {
  const { name, target, epoch } = plan;
  return [
    adoptStep(agents, { name, host: target, downtime: false, configure: !plan.start }),
    ownStep(agents, { name, host: target, epoch, back: 'nobody', says: `${target} owns it, epoch ${epoch}` }),
    ...(plan.start ? firstSteps(agents, { name, host: target, epoch }) : []),
  ];
}

/** It takes the place of the one there, which goes into the trash; before that one is given up, all of the new one is there. */
function overSteps(
  plan: BackupRestorePlan,
  over: NonNullable<BackupRestorePlan['over']>,
  agents: Agents,
): Step[] {
  const { name, target, epoch } = plan;
  const both = (context: { id: string }): Both => ({ name, saga: context.id });
  const steps: (Step | false)[] = [
    {
      name: 'stop',
      host: target,
      downtime: true,
      resumes: true,
      async do(context) {
        const mine = { ...both(context), epoch: over.epoch };
        await agents.ask(target, 'host-agent.stop', mine, context, { timeoutMs: 660_000 });
        context.say('stopped');
      },
      async undo(context) {
        if (!over.running) return;
        const mine = { ...both(context), epoch: over.epoch };
        await agents.ask(target, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
      },
    },
    {
      name: 'give up',
      host: target,
      downtime: true,
      pnr: true,
      async do(context) {
        const mine = { ...both(context), epoch: over.epoch, to: 'trash' };
        await agents.ask(target, 'host-agent.release', mine, context);
      },
    },
    {
      name: 'trash',
      host: target,
      downtime: true,
      async do(context) {
        await agents.ask(target, 'host-agent.detach', both(context), context);
        const why = `replaced by backup ${plan.backup.id}`;
        const { until } = await agents.ask(target, 'snapshot.trash', { ...both(context), why }, context, {
          timeoutMs: 600_000,
        });
        context.say(`the one there is in the trash of ${target}`);
        return { until };
      },
    },
    adoptStep(agents, { name, host: target, downtime: true, configure: !plan.start }),
    {
      name: 'own',
      host: target,
      downtime: true,
      async do(context) {
        await agents.ask(target, 'host-agent.claim', { ...both(context), epoch }, context);
        context.say(`${target} owns it, epoch ${epoch}`);
      },
    },
    plan.start && startStep(agents, { name, host: target, epoch }),
    plan.start && answerStep(agents, { name, host: target, epoch }),
  ];
  return steps.filter((step) => step !== false);
}

/** The steps of a restore from a backup. */
export function backupRestoreSteps(plan: BackupRestorePlan, agents: Agents): Step[] {
  const { name, target, config, over } = plan;
  const both = (context: { id: string }): Both => ({ name, saga: context.id });
  return [
    holdStep(agents, plan),
    lockStep(agents, { name, host: target }),
    ...(over ? [] : [addressStep(agents, { host: target, config, ...(plan.fresh ? {} : { of: name }) })]),
    stageStep(agents, { name, host: target, tree: true, bytes: () => plan.bytes }),
    ...(plan.fetch ? [fetchStep(plan, agents)] : []),
    ...copySteps(plan, agents),
    adaptStep(plan, agents),
    ...(over ? overSteps(plan, over, agents) : newSteps(plan, agents)),
    {
      name: 'unlock',
      host: target,
      pnr: true, // what is not held any more is not taken back: a person may use it already
      async do(context) {
        await agents.ask(plan.source, 'transfer.close', both(context), context);
        if (plan.fetch) await release(plan, agents, context);
        await agents.ask(target, 'snapshot.discard', both(context), context, { timeoutMs: 600_000 });
        await agents.ask(target, 'host-agent.unlock', both(context), context);
        await letGo(agents, plan, context);
      },
    },
  ];
}

export const backupRestoreTexts = (plan: BackupRestorePlan) => ({
  closing: (outputs: Record<string, Record<string, unknown>>): string => {
    const { name, target, start, config, taken, fresh, of, over } = plan;
    const what = fresh ? `, a vserver of its own from ${of},` : '';
    const before = over
      ? ` What it was before is in the trash there until ${day(Number(outputs['trash']?.['until'] ?? Date.now()))}: vs trash restore ${name} --as NAME --address ADDRESS`
      : '';
    return `${name}${what} ${start ? 'runs' : 'is'} on ${target} as it was at ${moment(taken)}, with ${firstOf(config)}.${start ? '' : ` Start it with: vs start ${name}`}${before}`;
  },
  failed: (reason: string): string =>
    plan.over
      ? `${plan.name} stays as it is on ${plan.target}: ${reason}.`
      : `${plan.name} was not restored: ${reason}. Nothing of it is left on ${plan.target}; the backup stays as it was.`,
});
