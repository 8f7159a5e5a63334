import { firstOf } from '../../../shared/addresses.ts';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { networksOf } from '../../../shared/interfaces.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { type Addresses, requireSilence, type Looks } from '../silence.ts';
import { size } from '../text.ts';

/** A name is held on a host, by this saga alone. */
export const lockStep = (agents: Agents, { name, host }: { name: string; host: string }): Step => ({
  name: 'lock',
  host,
  async do(context) {
    await agents.ask(host, 'host-agent.lock', { name, saga: context.id, ttl: 86_400_000 }, context);
  },
  async undo(context) {
    await agents.ask(host, 'host-agent.unlock', { name, saga: context.id }, context);
  },
});

/** Work on two hosts side by side; when one fails the other is waited for, so that nothing goes on behind the next try. */
export async function bothEnded<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

/** Room and a staging place on the host that gets a vserver; `less`: how it can do with less, for people. */
export const stageStep = (
  agents: Agents,
  what: { name: string; host: string; tree: boolean; bytes: (context: StepContext) => number; less?: string },
): Step => ({
  name: 'stage',
  host: what.host,
  async do(context) {
    const args = { name: what.name, saga: context.id, bytes: what.bytes(context), tree: what.tree };
    const { free } = await agents
      .ask(what.host, 'snapshot.allocate', args, context)
      .catch((error: unknown) => {
        if (
          what.less === undefined ||
          !(error instanceof VsError) ||
          !error.message.includes('no space left')
        )
          throw error;
        const { code, details } = error;
        throw new VsError(code, `${error.message}; ${what.less}`, {
          cause: error,
          ...(details ? { details } : {}),
        });
      });
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
  // journals of before it was written have none
  if (life !== undefined && agents.life?.(host) !== life)
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

/** A newcomer is owned; an undo gives it up to `back`. `says`: for people. */
export const ownStep = (
  agents: Agents,
  {
    name,
    host,
    epoch,
    back,
    says,
  }: { name: string; host: string; epoch: number; back: string; says?: string },
): Step => ({
  name: 'own',
  host,
  async do(context) {
    await agents.ask(host, 'host-agent.claim', { name, saga: context.id, epoch }, context);
    if (says !== undefined) context.say(says);
  },
  async undo(context) {
    try {
      await agents.ask(host, 'host-agent.release', { name, saga: context.id, epoch, to: back }, context);
    } catch (error) {
      if (!(error instanceof VsError) || error.code !== 'conflict') throw error; // it was never claimed
    }
  },
});

/** A newcomer is started and answers, and can still be taken back. */
export const firstSteps = (
  agents: Agents,
  { name, host, epoch }: { name: string; host: string; epoch?: number },
): Step[] => [
  {
    name: 'start',
    host,
    async do(context) {
      const mine = { name, saga: context.id, ...(epoch === undefined ? {} : { epoch }) };
      await agents.ask(host, 'host-agent.start', mine, context, { timeoutMs: 120_000 });
    },
    async undo(context) {
      const mine = { name, saga: context.id, force: true };
      await agents.ask(host, 'host-agent.stop', mine, context, { timeoutMs: 120_000 });
    },
  },
  {
    name: 'answer',
    host,
    async do(context) {
      await agents.ask(host, 'host-agent.answering', { name, timeout: 60_000 }, context, {
        timeoutMs: 90_000,
      });
      context.say('answers');
    },
  },
];

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

/** Has a host ask its network who answers. `tag`: of a question that must not be given the answer of one before. */
export const networkOf =
  (agents: Agents, host: string, context: StepContext, tag = '') =>
  (question: Args<'network.check'>, nth?: number): Promise<Data<'network.check'>> =>
    agents.ask(host, 'network.check', question, context, { tag: `${tag}${nth ?? ''}` });

/** The same for what is asked about a host that is said to be dead. */
export const looksOf = (agents: Agents, host: string, context: StepContext, tag: string): Looks => ({
  check: networkOf(agents, host, context, tag),
  reach: (question) => agents.ask(host, 'network.reach', question, context, { tag }),
});

/** The network is up on a host, and nobody answers at the addresses there. */
export const addressStep = (
  agents: Agents,
  what: { host: string; config: Addresses; of?: string },
): Step => ({
  name: 'network',
  host: what.host,
  async do(context) {
    const { network } = what.config;
    await requireSilence(networkOf(agents, what.host, context), what.config, what.of);
    context.say(`${firstOf(what.config)} is free on ${network}`);
  },
  async undo(context) {
    for (const [index, network] of networksOf(what.config).entries())
      await agents.ask(what.host, 'network.down', { network }, context, index > 0 ? { tag: network } : {});
  },
});
