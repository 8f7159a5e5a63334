import { firstOf } from '../../../shared/addresses.ts';
import type { Args } from '../../../shared/contract/commands.ts';
import type { VserverConfig } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { groups, size } from '../text.ts';
import type { CreatePlan } from '../plans/create-plan.ts';
import type { Output } from '../replay.ts';
import { copyTree, endCopy, leaveOriginal, wayOf } from './clone.ts';
import { keptText, scriptSteps } from './post-install.ts';
import { addressStep, adoptStep, firstSteps, keep, lockStep, ownStep, stageStep } from './steps.ts';

/** Room for a new vserver when the size of its template is not known (bytes). */
const UNKNOWN = 64e6;

type InstallSource = Args<'host-agent.install'>['source'];

async function templateSource(
  agents: Agents,
  plan: CreatePlan,
  context: StepContext,
): Promise<InstallSource> {
  const { kind, template } = context.outputs['template'] as { kind: string; template?: string };
  if (kind === 'busybox' || !template) return { kind: 'busybox' };
  const served = await agents.ask(
    'master',
    'template.serve',
    { name: template, to: plan.hostAddress },
    context,
    { tag: Date.now().toString(36) }, // an offer ends with the master's life, so it is asked for anew
  );
  return { kind: 'template', name: template, ...served, secret: agents.seal(plan.host, served.secret) };
}

/** What vserver.json says of the template. */
function templateOf({ outputs }: StepContext): Pick<VserverConfig, 'template'> {
  const { template: name, sha256 } = outputs['template'] ?? {};
  return typeof name === 'string' && typeof sha256 === 'string' ? { template: { name, sha256 } } : {};
}

/** Has the host fill the staging tree; an offer of the template that ended with the master is made anew. */
async function fill(agents: Agents, plan: CreatePlan, context: StepContext) {
  for (let attempt = 1; ; attempt++) {
    const source = plan.clone ? { kind: 'staged' as const } : await templateSource(agents, plan, context);
    try {
      return await agents.ask(
        plan.host,
        'host-agent.install',
        {
          name: plan.name,
          saga: context.id,
          source,
          config: { ...plan.config, ...templateOf(context) },
          ...(plan.sshKeys ? { sshKeys: plan.sshKeys } : {}),
        },
        context,
        {
          timeoutMs: 3_600_000,
          ...(attempt > 1 ? { tag: String(attempt) } : {}),
          onProgress: (progress) => context.progress(progress),
        },
      );
    } catch (error) {
      if (!(error instanceof VsError) || !error.retryable || attempt >= 3) throw error;
    }
  }
}

/** The steps of a create. */
export function createSteps(plan: CreatePlan, agents: Agents): Step[] {
  const { name, host, config } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const { clone, postInstall } = plan;
  const starts = plan.start || postInstall !== undefined;
  // journals of before the ways had names copied within one host in the step "install"
  const early = clone !== undefined && clone.way === undefined && clone.host === host;
  const steps: (Step | false)[] = [
    !clone && {
      name: 'template',
      host: 'master',
      async do(context) {
        const { kind, template } = await agents.ask(
          'master',
          'template.ensure',
          { source: plan.source },
          context,
          { timeoutMs: 3_600_000, onProgress: (progress) => context.progress(progress) },
        );
        context.say(template ? `${template.name}, ${size(template.bytes)}` : kind);
        if (!template) return { kind };
        return { kind, template: template.name, size: template.bytes, sha256: template.sha256 };
      },
    },
    lockStep(agents, { name, host }),
    addressStep(agents, { host, config }),
    stageStep(agents, {
      name,
      host,
      tree: !clone || !['fork', 'btrfs-send'].includes(wayOf(plan, clone)),
      bytes(context) {
        const packed = Number(context.outputs['template']?.['size'] ?? 0);
        if (clone) return wayOf(plan, clone) === 'fork' ? UNKNOWN : clone.bytes;
        return packed ? packed * 4 : UNKNOWN;
      },
    }),
    clone !== undefined &&
      !early && {
        name: 'copy',
        host: clone.host,
        async do(context) {
          const life = agents.life?.(host);
          const copied = await copyTree(agents, plan, clone, context);
          await keep(agents, { name, host, life, flush: true }, context);
          return copied;
        },
        undo: (context) => endCopy(agents, clone, context),
      },
    {
      name: 'install',
      host,
      async do(context) {
        if (clone && early) await copyTree(agents, plan, clone, context);
        const { bytes, files, note } = await fill(agents, plan, context);
        const life = agents.life?.(host); // the one that has just answered
        await keep(agents, { name, host, life, flush: true }, context);
        context.say(note ?? `${size(bytes)} in ${groups(files)} files`);
      },
      async undo(context) {
        if (clone && early) await endCopy(agents, clone, context);
      },
    },
    adoptStep(agents, { name, host, downtime: false, configure: !starts }),
    ownStep(agents, { name, host, epoch: 1, back: 'nobody' }),
    ...(starts ? firstSteps(agents, { name, host }) : []),
    ...(postInstall === undefined
      ? []
      : scriptSteps(agents, { name, host, script: postInstall, keep: plan.keep, stop: !plan.start })),
    {
      name: 'unlock',
      host,
      pnr: true, // what is not held any more is not taken back: a person may use it already
      async do(context) {
        if (clone) await leaveOriginal(agents, plan, clone, context);
        await agents.ask(host, 'snapshot.discard', both(context), context);
        await agents.ask(host, 'host-agent.unlock', both(context), context);
      },
    },
  ];
  return steps.filter((step) => step !== false);
}

export const createTexts = (plan: CreatePlan) => ({
  closing: (outputs: Record<string, Output>): string =>
    `${plan.name} ${plan.start ? 'runs' : 'is'} on ${plan.host} with ${firstOf(plan.config)} in network ${plan.config.network}.${plan.start ? '' : ` Start it with: vs start ${plan.name}`}${keptText(outputs)}`,
  failed: (reason: string): string =>
    `${plan.name} was not created: ${reason}. Nothing of it is left on ${plan.host}.`,
});
