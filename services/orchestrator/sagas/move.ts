import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { day, groups, seconds, size } from '../text.ts';
import { type Route, arm, livePasses, pass, passText } from '../passes.ts';
import { handOverSteps } from './move-hand-over.ts';
import { haltStep } from './move-halt.ts';
import { sendSnapshots } from './move-snapshots.ts';
import { keep, stageStep } from './steps.ts';

export interface MovePlan extends Route {
  running: boolean;
  epoch: number;
  network: string;
  files: number;
  /** Its kept snapshots go along. */
  snapshots?: true;
  /** What it takes on the target together with them (bytes), where that is known. */
  room?: number;
  /** Frozen instead of stopped: what it has not written is lost as in a power cut. */
  crashConsistent?: boolean;
}

/** The steps of a move (docs/sagas.md). */
export function moveSteps(plan: MovePlan, agents: Agents): Step[] {
  const { name, source, target, copy, running, epoch, network } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  /** The endpoint of the final pass; a later life of the orchestrator opens another. */
  let armed: Awaited<ReturnType<typeof arm>>;
  const labelOf = (context: StepContext): { label?: string } => {
    const { label } = context.outputs['final'] as { label?: string };
    return label ? { label } : {};
  };
  const steps: (Step | false)[] = [
    {
      name: 'lock',
      host: source,
      async do(context) {
        const { epoch: now, state } = await agents.ask(
          source,
          'host-agent.lock',
          { ...both(context), ttl: 86_400_000 },
          context,
        );
        if (now !== epoch) throw new VsError('conflict', `${name} has epoch ${now} now, not ${epoch}`);
        if ((state !== 'stopped') !== running)
          throw new VsError('conflict', `${name} is ${state} now; it was not when the move was asked for`);
        await agents.ask(target, 'host-agent.lock', { ...both(context), ttl: 86_400_000 }, context, {
          tag: 'target',
        });
        context.say(`epoch ${epoch}`);
      },
      async undo(context) {
        await agents.ask(source, 'host-agent.unlock', both(context), context);
        await agents.ask(target, 'host-agent.unlock', both(context), context, { tag: 'target' });
      },
    },
    stageStep(agents, {
      name,
      host: target,
      tree: copy === 'rsync',
      bytes: () => plan.room ?? plan.bytes,
      ...(plan.room === undefined
        ? {}
        : {
            less: `without its snapshots it needs ${size(plan.bytes)}: vs move ${name} ${target} --no-snapshots`,
          }),
    }),
    plan.snapshots === true && sendSnapshots(plan, agents),
    {
      name: 'seed',
      host: source,
      do: (context) => livePasses(agents, plan, context),
      async undo(context) {
        await agents.ask(source, 'transfer.close', both(context), context);
        await agents.ask(source, 'snapshot.remove', both(context), context);
      },
    },
    {
      name: 'prepare',
      host: target,
      async do(context) {
        const { label } = context.outputs['seed'] as { label?: string };
        await agents.ask(
          target,
          'host-agent.prepare',
          { ...both(context), ...(label ? { label } : {}) },
          context,
        );
        if (running) armed = await arm(agents, plan, context);
        context.say(`network ${network} is up, rules are ready`);
      },
      async undo(context) {
        await agents.ask(target, 'network.detach', { name }, context);
        await agents.ask(target, 'network.down', { network }, context);
      },
    },
    running && haltStep(plan, agents),
    {
      name: 'final',
      host: source,
      downtime: running,
      async do(context) {
        const { began } = context.outputs['seed'] as { began?: number };
        const last = await pass(agents, plan, context, {
          final: true,
          tag: 'final',
          since: began,
          armed,
        });
        armed = undefined;
        context.say(passText(last));
        return { ...last };
      },
    },
    // of a btrfs stream: who received it has said so, and adopts nothing else
    copy === 'rsync' && {
      name: 'verify',
      host: target,
      downtime: running,
      async do(context) {
        const { treeBytes, treeFiles, life } = context.outputs['final'] as {
          life?: string;
          treeBytes?: number;
          treeFiles?: number;
        };
        await agents.ask(
          target,
          'transfer.verify',
          { ...both(context), copy, treeBytes, treeFiles },
          context,
          { timeoutMs: 600_000 },
        );
        await keep(agents, { name, host: target, life, flush: true }, context);
        context.say(`${groups(treeFiles ?? 0)} files agree`);
      },
    },
    {
      name: 'adopt',
      host: target,
      downtime: running,
      async do(context) {
        const { id: saga } = context;
        await agents.ask(target, 'snapshot.adopt', { name, saga, ...labelOf(context) }, context);
        const { life } = context.outputs['final'] as { life?: string };
        await keep(agents, { name, host: target, life, flush: false }, context);
        await agents.ask(target, 'host-agent.configure', both(context), context);
        context.say('in its place, ready to start');
      },
      async undo(context) {
        await agents.ask(target, 'host-agent.detach', both(context), context);
        await agents.ask(target, 'snapshot.evict', both(context), context);
      },
    },
    ...handOverSteps(plan, agents),
  ];
  return steps.filter((step) => step !== false);
}

/** The sentences at the end of a move. */
export const moveTexts = (plan: MovePlan) => ({
  closing(
    outputs: Record<string, Record<string, unknown>>,
    state: { started: number; ended?: number | undefined; downtimeMs?: number | undefined },
  ): string {
    const until = outputs['clean up']?.['until'];
    const times = `${seconds((state.ended ?? Date.now()) - state.started)} in all${state.downtimeMs === undefined ? '' : `, ${seconds(state.downtimeMs)} of it down`}`;
    return `${plan.name} ${plan.running ? 'runs' : 'is'} on ${plan.target}: ${times}. ${
      until === undefined
        ? `If ${plan.source} ever comes back, it starts nothing of it; see what it still has, then: vs remove ${plan.name} --host ${plan.source}`
        : `The old copy stays in the trash of ${plan.source} until ${day(Number(until))}.`
    }`;
  },
  failed(reason: string, state: { downtimeMs?: number }, isBack: boolean): string {
    if (isBack)
      return `${plan.name} ${plan.running ? 'runs' : 'is'} on ${plan.source} again, as it was when it was stopped for the move: ${reason}. If ${plan.target} ever comes back, it starts nothing of it, and what it never owned goes away there; if vs scan still shows its copy, look at it, then: vs remove ${plan.name} --host ${plan.target}`;
    const down = state.downtimeMs === undefined ? '' : ` (it was down for ${seconds(state.downtimeMs)})`;
    return `${plan.name} stays on ${plan.source}${plan.running ? `, running${down}` : ''}: ${reason}. Nothing is left on ${plan.target}. Mend that, or name another host: vs move ${plan.name} HOST`;
  },
});
