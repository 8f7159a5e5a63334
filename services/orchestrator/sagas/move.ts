import type { HostInfo } from '../../../shared/contract/host.ts';
import type { VserverState } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { day, groups, seconds } from '../text.ts';
import { type Route, arm, livePasses, pass, passText } from '../passes.ts';
import { fresh, requireAlone, requireGone } from './recover.ts';
import { bothEnded, keep, stageStep } from './steps.ts';

export interface MovePlan extends Route {
  running: boolean;
  epoch: number;
  network: string;
  files: number;
  /** Frozen instead of stopped: what it has not written is lost as in a power cut. */
  crashConsistent?: boolean;
}

/** While it boots, what can wait waits (ms): a check and the clean-up would take the processor from what people wait for. */
const SETTLE_MS = 400;

/** Refusals of a move, before anything is journaled or changed; `there`: what the target has of this name. */
export function checkMove(vserver: VserverState, target: HostInfo, there: VserverState | undefined): void {
  if (vserver.host === target.host)
    throw new VsError('refused', `${vserver.name} is on ${target.host} already`);
  if (vserver.epoch === 0)
    throw new VsError('refused', `${vserver.host} does not own ${vserver.name}, so it cannot give it away`);
  if (vserver.state === 'starting' || vserver.state === 'stopping')
    throw new VsError(
      'conflict',
      `${vserver.name} is ${vserver.state} on ${vserver.host}; move it when that is over`,
      { retryable: true },
    );
  if (there)
    throw new VsError(
      'conflict',
      there.epoch > 0
        ? `${target.host} has a vserver ${vserver.name} already`
        : `${target.host} has an old copy of ${vserver.name}, which it does not own; look at it, then: vs remove ${vserver.name} --host ${target.host}`,
    );
  if (!target.networks.includes(vserver.network))
    throw new VsError(
      'refused',
      `${target.host} has no network ${vserver.network}; it has ${target.networks.join(', ') || 'none'}`,
    );
}

/** This step was cut off before, when it had gone to the trash already. */
function unlessGone(error: unknown): void {
  if (!(error instanceof VsError) || error.code !== 'not-found') throw error;
}

/** The steps of a move (docs/sagas.md). */
export function moveSteps(plan: MovePlan, agents: Agents): Step[] {
  const { name, source, target, copy, running, epoch, network } = plan;
  const freezes = running && plan.crashConsistent === true;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  /** The endpoint of the final pass; a later life of the orchestrator opens another. */
  let armed: Awaited<ReturnType<typeof arm>>;
  /** The way back: it runs on its source again. Past the point of no return that has a new epoch, and the target may be back. */
  const startAgain = async (context: StepContext) => {
    if (context.back !== undefined) {
      await requireGone(agents, { dead: target, name }, context);
      const { state } = await agents.ask(source, 'host-agent.show', { name }, context, { tag: fresh() });
      await requireAlone(agents, { ...state, name, target: source }, context);
    }
    const mine = { ...both(context), epoch: context.back ?? epoch };
    await agents.ask(source, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
  };
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
    stageStep(agents, { name, host: target, tree: copy === 'rsync', bytes: () => plan.bytes }),
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
    freezes && {
      name: 'freeze',
      host: source,
      downtime: true,
      resumes: true,
      async do(context) {
        await agents.ask(source, 'host-agent.freeze', { ...both(context), epoch }, context);
        context.say('frozen, and off the network');
      },
      async undo(context) {
        if (context.back === undefined)
          await agents.ask(source, 'host-agent.thaw', { ...both(context), epoch }, context);
        // what was given up frozen can run no more
        else await agents.ask(source, 'host-agent.stop', { ...both(context), force: true }, context);
        // its host may have lost its power since; one that runs is left as it is
        await startAgain(context);
      },
    },
    running &&
      !freezes && {
        name: 'stop',
        host: source,
        downtime: true,
        resumes: true,
        async do(context) {
          const early = { ...both(context), epoch, early: true };
          await agents.ask(source, 'host-agent.stop', early, context, { timeoutMs: 120_000 });
          context.say('stopped');
        },
        undo: startAgain,
      },
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
    {
      name: 'give up',
      host: source,
      downtime: running,
      pnr: true,
      async do(context) {
        const args = { ...both(context), epoch, to: target, ...(freezes ? { frozen: true } : {}) };
        await agents.ask(source, 'host-agent.release', args, context);
        context.say(`${source} owns it no more`);
      },
      // only when a person said that the target is dead
      async undo(context) {
        if (context.back === undefined) return;
        await agents.ask(source, 'host-agent.claim', { ...both(context), epoch: context.back }, context);
        context.say(`${source} owns it again, epoch ${context.back}`);
      },
    },
    {
      name: 'take over',
      host: target,
      downtime: running,
      async do(context) {
        const next = { ...both(context), epoch: epoch + 1, ...(running ? { start: true } : {}) };
        await agents.ask(target, 'host-agent.claim', next, context);
        context.say(`${target} owns it, epoch ${epoch + 1}`);
      },
    },
    running && {
      name: 'start',
      host: target,
      downtime: true,
      async do(context) {
        await agents.ask(target, 'host-agent.start', { ...both(context), epoch: epoch + 1 }, context, {
          timeoutMs: 120_000,
        });
        context.say('started');
        return { up: true };
      },
    },
    running && {
      name: 'answer',
      host: target,
      async do(context) {
        // its host may have lost its power since it was started; one that runs is left as it is
        const mine = { ...both(context), epoch: epoch + 1 };
        await agents.ask(target, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
        const asked = { name, timeout: 60_000, settle: SETTLE_MS };
        await agents.ask(target, 'host-agent.answering', asked, context, { timeoutMs: 90_000 });
        context.say('answers');
      },
    },
    {
      name: 'clean up',
      host: source,
      async do(context) {
        // what was frozen can run no more, and ends now
        if (freezes)
          await agents
            .ask(source, 'host-agent.stop', { ...both(context), force: true }, context)
            .catch(unlessGone);
        const long = { timeoutMs: 600_000 };
        // a connection that a former life made ready and nobody used ends too
        const fromSource = async () => {
          await agents.ask(source, 'transfer.close', both(context), context);
          await agents.ask(source, 'host-agent.detach', both(context), context);
          const kept = await agents.ask(source, 'snapshot.trash', both(context), context, long);
          await agents.ask(source, 'snapshot.remove', both(context), context, long);
          await agents.ask(source, 'network.down', { network }, context);
          return kept.until as number | undefined;
        };
        const fromTarget = async () => {
          await agents.ask(target, 'transfer.close', both(context), context, { tag: 'target' });
          await agents.ask(target, 'snapshot.discard', both(context), context, long);
        };
        const [until] = await bothEnded(fromSource(), fromTarget());
        await agents.ask(source, 'host-agent.unlock', both(context), context);
        await agents.ask(target, 'host-agent.unlock', both(context), context, { tag: 'target' });
        // a person said that the source is dead: it was not asked
        if (until === undefined) context.say(`${source} is dead, and was not asked`);
        else context.say(`old copy in the trash of ${source}`);
        return until === undefined ? {} : { until };
      },
    },
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
  failed(reason: string, state: { downtimeMs?: number }, back: boolean): string {
    if (back)
      return `${plan.name} ${plan.running ? 'runs' : 'is'} on ${plan.source} again, as it was when it was stopped for the move: ${reason}. If ${plan.target} ever comes back, it starts nothing of it, and what it never owned goes away there; if vs scan still shows its copy, look at it, then: vs remove ${plan.name} --host ${plan.target}`;
    const down = state.downtimeMs === undefined ? '' : ` (it was down for ${seconds(state.downtimeMs)})`;
    return `${plan.name} stays on ${plan.source}${plan.running ? `, running${down}` : ''}: ${reason}. Nothing is left on ${plan.target}. Mend that, or name another host: vs move ${plan.name} HOST`;
  },
});
