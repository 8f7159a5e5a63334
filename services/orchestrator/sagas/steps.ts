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
