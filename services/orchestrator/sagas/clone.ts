import type { Agents } from '../agent.ts';
import type { StepContext } from '../executor.ts';
import { type Route, livePasses, pass } from '../passes.ts';
import { size } from '../text.ts';
import type { CloneWay, CreatePlan } from '../plans/create-plan.ts';

type Clone = NonNullable<CreatePlan['clone']>;

/** The way of a clone; plans of before it had a name copied by rsync, or within one host. */
export const wayOf = (plan: CreatePlan, clone: Clone): CloneWay =>
  clone.way ?? (clone.host === plan.host && clone.snapshot ? 'fork' : 'rsync');

const SNAPSHOT = 'copy';

/** Fills the staging of the new one with the files of the original, which stays as it is. */
export async function copyTree(
  agents: Agents,
  plan: CreatePlan,
  clone: Clone,
  context: StepContext,
): Promise<{ bytes?: number }> {
  const { name, host } = plan;
  const both = { name, saga: context.id };
  const way = wayOf(plan, clone);
  const kept = clone.kept ? { kept: clone.kept } : {};
  if (way === 'fork') {
    await agents.ask(host, 'snapshot.fork', { ...both, of: clone.of, ...kept }, context, {
      timeoutMs: 600_000,
    });
    context.say(clone.kept ? `from its snapshot ${clone.kept}` : `a snapshot of ${clone.of}`);
    return {};
  }
  const route: Route = {
    name,
    of: clone.of,
    source: clone.host,
    target: host,
    sourceAddress: clone.address,
    copy: way,
    channel: clone.channel,
    bytes: clone.bytes,
    ...kept,
    ...(clone.bwlimit ? { bwlimit: clone.bwlimit } : {}),
    ...(clone.compress ? { compress: true } : {}),
  };
  const once = (more: Partial<Route>) =>
    pass(agents, { ...route, ...more }, context, { final: false, tag: 'clone', total: clone.bytes });
  if (way === 'btrfs-send') {
    const { bytes, label = '' } = await once({});
    await agents.ask(host, 'snapshot.promote', { ...both, label }, context);
    context.say(`${size(bytes)}, from a snapshot`);
    return { bytes };
  }
  if (!clone.snapshot) {
    const { bytes } = await livePasses(agents, route, context);
    return { bytes };
  }
  const taken = { name: clone.of, saga: context.id, label: SNAPSHOT, ...kept };
  await agents.ask(clone.host, 'snapshot.create', taken, context);
  const { bytes } = await once({ label: SNAPSHOT });
  context.say(`${size(bytes)}, from a snapshot`);
  return { bytes };
}

/** The snapshots that a copy made of the original. */
async function dropSnapshots(agents: Agents, clone: Clone, context: StepContext): Promise<void> {
  const taken = { name: clone.of, saga: context.id };
  await agents.ask(clone.host, 'snapshot.remove', taken, context, { timeoutMs: 600_000 });
}

/** After a copy: nothing of it is left with the original, and both hosts forget what they know of its passes. */
export async function leaveOriginal(
  agents: Agents,
  plan: CreatePlan,
  clone: Clone,
  context: StepContext,
): Promise<void> {
  await dropSnapshots(agents, clone, context);
  const saga = context.id;
  await agents.ask(clone.host, 'transfer.close', { name: clone.of, saga }, context);
  if (plan.host !== clone.host)
    await agents.ask(plan.host, 'transfer.close', { name: plan.name, saga }, context, { tag: 'target' });
}

/** The way back of copyTree on the side of the original; staging has its own. */
export async function endCopy(agents: Agents, clone: Clone, context: StepContext): Promise<void> {
  await agents.ask(clone.host, 'transfer.close', { name: clone.of, saga: context.id }, context);
  await dropSnapshots(agents, clone, context);
}
