import { firstOf } from '../../../shared/addresses.ts';
import type { Data } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { type Agents, fresh } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { requireDeadSilence } from '../silence.ts';
import { moment } from '../text.ts';
import { type PutPlan, carrySteps, roomSteps, unlockStep } from './put.ts';
import { adoptStep, looksOf, stageStep } from './steps.ts';

export interface RecoverPlan extends PutPlan {
  /** The host that had it, and that a person has confirmed to be dead. */
  dead: string;
  mac: string;
  start: boolean;
  enabled: boolean;
  /** The copy lies in the trash of the target: that entry. */
  recall?: string;
  /** What it comes from, for people. */
  what: string;
}

const addressOf = (hosts: Data<'orchestrator.hosts'>['hosts'], host: string): string | undefined => {
  const address = hosts.find((one) => one.host === host)?.['address'];
  return typeof address === 'string' ? address : undefined;
};

/** What the pool says of a host that is said to be dead. */
async function pulseOf(agents: Agents, dead: string, context: StepContext) {
  const { hosts } = await agents.ask('master', 'orchestrator.hosts', {}, context, { tag: fresh() });
  const isOnline = hosts.some((one) => one.host === dead && one.state === 'online');
  return { isOnline, management: addressOf(hosts, dead) };
}

/** The dead host is still away, and nobody answers at the address: it might only be cut off from the master. */
async function requireDead(agents: Agents, plan: RecoverPlan, context: StepContext): Promise<void> {
  const { dead, name } = plan;
  const { isOnline, management } = await pulseOf(agents, dead, context);
  if (isOnline) throw new VsError('refused', `${dead} is online again, and has ${name}`);
  const looks = looksOf(agents, plan.target, context, fresh());
  await requireDeadSilence(looks, { ...plan, host: dead, management });
}

/**
 * If the dead host came back after all, it gives way to the higher epoch, and until then nothing starts here: it may just
 * be about to start it, which its state does not show yet. One that is away compares with the pool before it starts anything.
 */
export async function requireGone(
  agents: Agents,
  plan: Pick<RecoverPlan, 'dead' | 'name'>,
  context: StepContext,
): Promise<void> {
  const { dead, name } = plan;
  const { rows } = await agents.ask('master', 'orchestrator.scan', { host: dead, name }, context, {
    tag: fresh(),
  });
  const there = rows.find((row) => row.host === dead && row.vserver === name);
  if (!there || there.state === 'unknown') return;
  if ((there.epoch ?? 0) > 0 || ['running', 'starting', 'stopping', 'frozen'].includes(there.state))
    throw new VsError('conflict', `${dead} came back and has not given ${name} up yet`);
}

/**
 * The dead host may have come back while the master was away, or be cut off from it, and have started it before it could hear
 * of the pool: that one ends first. Or it is just about to, when it has waited for the pool in vain.
 */
export async function requireAlone(
  agents: Agents,
  plan: Pick<RecoverPlan, 'dead' | 'name' | 'target' | 'network' | 'address' | 'address6' | 'more' | 'mac'>,
  context: StepContext,
): Promise<void> {
  const { dead, name, target } = plan;
  const { state } = await agents.ask(target, 'host-agent.show', { name }, context, { tag: fresh() });
  if (state.state === 'running') return; // started before a restart of the orchestrator
  const { isOnline, management } = await pulseOf(agents, dead, context);
  // one that is online has heard of the pool, and given way
  const looks = looksOf(agents, target, context, fresh());
  await requireDeadSilence(looks, { ...plan, host: dead, management: isOnline ? undefined : management });
}

/** The steps of a recover. Nothing can be asked of the dead host; what it had is lost. */
export function recoverSteps(plan: RecoverPlan, agents: Agents): Step[] {
  const { name, target, epoch, recall } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const check = (step: string): Step => ({
    name: step,
    host: target,
    async do(context) {
      await requireDead(agents, plan, context);
      context.say(`${plan.dead} is offline, ${firstOf(plan)} does not answer`);
    },
  });
  const steps: (Step | false)[] = [
    check('check'),
    ...roomSteps(plan, agents).filter((step) => recall === undefined || step.name !== 'stage'),
    ...(recall === undefined
      ? carrySteps(plan, agents)
      : [
          // it is renamed: no room is made for it, which could cost it
          stageStep(agents, { name, host: target, tree: false, bytes: () => 0 }),
          {
            name: 'recall',
            host: target,
            do: async (context: StepContext) =>
              void (await agents.ask(
                target,
                'snapshot.recall',
                { ...both(context), of: name, entry: recall },
                context,
              )),
            undo: async (context: StepContext) =>
              void (await agents.ask(
                target,
                'snapshot.return',
                { ...both(context), of: name, entry: recall },
                context,
              )),
          },
        ]),
    adoptStep(agents, { name, host: target, downtime: false, configure: !plan.start }),
    check('look again'),
    {
      name: 'own',
      host: target,
      pnr: true,
      async do(context) {
        await agents.ask(target, 'host-agent.claim', { ...both(context), epoch }, context);
        const boot = plan.enabled ? 'host-agent.enable' : 'host-agent.disable';
        await agents.ask(target, boot, both(context), context);
        context.say(`${target} owns it, epoch ${epoch}`);
      },
    },
    plan.start && {
      name: 'start',
      host: target,
      async do(context) {
        await requireGone(agents, plan, context);
        await requireAlone(agents, plan, context);
        await agents.ask(target, 'host-agent.start', { ...both(context), epoch }, context, {
          timeoutMs: 120_000,
        });
        context.say('started');
      },
    },
    plan.start && {
      name: 'answer',
      host: target,
      async do(context) {
        // its host may have lost its power since it was started; one that runs is left as it is
        const mine = { ...both(context), epoch };
        await agents.ask(target, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
        await agents.ask(target, 'host-agent.answering', { name, timeout: 60_000 }, context, {
          timeoutMs: 90_000,
        });
        context.say('answers');
      },
    },
    unlockStep(plan, agents),
  ];
  return steps.filter((step) => step !== false);
}

export const recoverTexts = (plan: RecoverPlan) => ({
  closing: (): string =>
    `${plan.name} ${plan.start ? 'runs' : 'is'} on ${plan.target} as it was at ${moment(plan.taken)}, with epoch ${plan.epoch}.${plan.start ? '' : ` Start it with: vs start ${plan.name}`} If ${plan.dead} ever comes back, it starts nothing of it; see what it still has, then: vs remove ${plan.name} --host ${plan.dead}`,
  failed: (reason: string): string =>
    `${plan.name} was not recovered: ${reason}. Nothing of it is left on ${plan.target}; ${plan.what} stays as it was.`,
});
