import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { size } from '../text.ts';

/** Room and a staging place on the host that gets a vserver. */
export const stageStep = (
  agents: Agents,
  what: { name: string; host: string; tree: boolean; bytes: (context: StepContext) => number },
): Step => ({
  name: 'stage',
  host: what.host,
  async do(context) {
    const args = { name: what.name, saga: context.id, bytes: what.bytes(context), tree: what.tree };
    const { free } = await agents.ask(what.host, 'snapshot.allocate', args, context);
    context.say(`${what.host} has ${size(free)} free`);
  },
  async undo(context) {
    const both = { name: what.name, saga: context.id };
    await agents.ask(what.host, 'transfer.close', both, context); // nothing writes there any more
    await agents.ask(what.host, 'snapshot.discard', both, context);
  },
});

/**
 * Writes out what was staged before anybody relies on it. `life` is the one of the host in which it came: a later one may
 * have lost, by a power cut, what had come and was not on its disk yet.
 */
export async function keep(
  agents: Agents,
  what: { name: string; host: string; life: string | undefined; flush: boolean },
  context: StepContext,
): Promise<void> {
  const { host, name, life, flush } = what;
  if (flush)
    await agents.ask(host, 'transfer.flush', { name, saga: context.id }, context, {
      tag: 'keep',
      timeoutMs: 600_000,
    });
  if (agents.life?.(host) !== life)
    throw new VsError('failed', `${host} restarted after the copy came, so it may not have all of it`, {
      details: { host },
    });
}

/** The staged tree becomes the vserver's; what is started next configures itself. */
export const adoptStep = (
  agents: Agents,
  what: { name: string; host: string; downtime: boolean; configure: boolean },
): Step => ({
  name: 'adopt',
  host: what.host,
  downtime: what.downtime,
  async do(context) {
    const both = { name: what.name, saga: context.id };
    await agents.ask(what.host, 'snapshot.adopt', both, context);
    if (what.configure) await agents.ask(what.host, 'host-agent.configure', both, context);
    context.say('in its place');
  },
  async undo(context) {
    const both = { name: what.name, saga: context.id };
    await agents.ask(what.host, 'host-agent.detach', both, context);
    await agents.ask(what.host, 'snapshot.evict', both, context);
  },
});
