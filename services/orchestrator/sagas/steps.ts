import type { VserverConfig } from '../../../shared/contract/vserver.ts';
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

/** Past a point of no return: what took over is started. */
export const startStep = (
  agents: Agents,
  { name, host, epoch }: { name: string; host: string; epoch: number },
): Step => ({
  name: 'start',
  host,
  downtime: true,
  async do(context) {
    const mine = { name, saga: context.id, epoch };
    await agents.ask(host, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
    context.say('started');
  },
});

/** It runs and answers, and the downtime is over. */
export const answerStep = (
  agents: Agents,
  { name, host, epoch }: { name: string; host: string; epoch: number },
): Step => ({
  name: 'answer',
  host,
  downtime: true,
  async do(context) {
    // its host may have lost its power since it was started; one that runs is left as it is
    const mine = { name, saga: context.id, epoch };
    await agents.ask(host, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
    await agents.ask(host, 'host-agent.answering', { name, timeout: 60_000 }, context, { timeoutMs: 90_000 });
    context.say('answers');
    return { up: true };
  },
});

/** The network is up on a host, and nobody answers at the addresses there. */
export const addressStep = (
  agents: Agents,
  { host, config }: { host: string; config: Pick<VserverConfig, 'network' | 'address' | 'address6'> },
): Step => ({
  name: 'network',
  host,
  async do(context) {
    const { network, address, address6 } = config;
    const { answers, taken6 } = await agents.ask(
      host,
      'network.check',
      { network, address, ...(address6 ? { address6 } : {}) },
      context,
    );
    if (answers)
      throw new VsError('refused', `${address} is in use: ${answers} answers there on network ${network}`);
    if (taken6) throw new VsError('refused', `${address6} is in use: it answers on network ${network}`);
    context.say(`${address} is free on ${network}`);
  },
  undo: async (context) =>
    void (await agents.ask(host, 'network.down', { network: config.network }, context)),
});
