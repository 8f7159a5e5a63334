import type { Clock } from '../../shared/clock.ts';
import type { Args, CommandName, Data } from '../../shared/contract/commands.ts';
import type { RemovedVserver } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import type { Bus } from '../../shared/bus.ts';
import { seal } from '../../shared/seal.ts';
import type { StepContext } from './executor.ts';
import type { Pool } from './pool.ts';

/** What the steps of sagas use to act on hosts. */
export interface Agents {
  ask<K extends CommandName>(
    host: string,
    command: K,
    args: Args<K>,
    context: StepContext,
    options?: { timeoutMs?: number; tag?: string; onProgress?: (progress: Record<string, unknown>) => void },
  ): Promise<Data<K>>;
  /** A secret as only this host can read it: commands lie open for operators. */
  seal(host: string, secret: string): string;
  /** Which life of its agent a host is in; another one may come after a power cut. */
  life?(host: string): string | undefined;
  /** Remembers what is removed: a host that is away, and had it before, shall give way when it comes back. */
  removed?(one: RemovedVserver): Promise<void>;
}

/** Agents of which a person may say that one is dead: what a saga would undo there needs no undo. */
export type MortalAgents = Agents & { giveUp(saga: string, host: string): void };

/** For the tag of a question of now, which must not be given the answer of before. */
export const fresh = () => Date.now().toString(36);

/** Work that may take long and ends by itself when the saga is aborted; all else is waited for. */
const cancelled = new Set<CommandName>(['host-agent.install', 'host-agent.post-install', 'template.ensure']);

/**
 * What these say or do is of now: after a crash the work before them may have been done again, so the answer of before must
 * not be given again.
 */
const ofNow = new Set<CommandName>(['transfer.flush', 'transfer.verify']);

/**
 * Asks agents with ids that stay the same over a restart of the orchestrator, so that work in flight is joined.
 * A host that is away is waited for: 30 s, for it may just restart; its answer is asked for again after that.
 * `ownKey`: that of the master, whose copies come and go like those of a host.
 */
export function agentsOf(bus: Bus, pool: Pool, clock: Clock, ownKey: () => string): MortalAgents {
  const dead = new Set<string>();
  const isDead = (saga: string, host: string) => dead.has(`${saga} ${host}`);
  async function online(host: string, { id, signal }: StepContext): Promise<void> {
    const end = clock.elapsed() + 30_000;
    while (!pool.isOnline(host) && !isDead(id, host)) {
      if (clock.elapsed() > end || signal.aborted)
        throw new VsError('unavailable', `${host} is offline`, { retryable: true });
      await clock.sleep(200);
    }
  }
  /** What is still at work when a saga is aborted would go on behind the back of the undo: it is ended, and waited for. */
  function endCopies(host: string, args: object): void {
    const { name, saga } = args as { name: string; saga: string };
    bus.request(host, 'transfer.close', { name, saga }).catch(() => undefined);
  }
  return {
    giveUp: (saga, host) => void dead.add(`${saga} ${host}`),
    seal(host, secret) {
      const key = host === bus.target ? ownKey() : pool.info(host)?.seal;
      if (!key) throw new VsError('unavailable', `${host} has not told its key yet`, { retryable: true });
      return seal(secret, key);
    },
    life: (host) => pool.life(host),
    async ask(host, command, args, context, options = {}) {
      const moment = ofNow.has(command) ? `-${fresh()}` : '';
      const first = context.command(`${command}${options.tag ?? ''}${moment}`);
      let id = first;
      for (let attempt = 0; ; attempt++) {
        if (context.signal.aborted) throw new VsError('failed', 'the saga was aborted');
        if (host !== bus.target && !pool.isOnline(host) && !isDead(context.id, host))
          context.say(`waiting for ${host}, which is offline`);
        if (host !== bus.target) await online(host, context);
        if (context.signal.aborted) throw new VsError('failed', 'the saga was aborted');
        if (isDead(context.id, host)) {
          context.say(`${host} is dead, and was not asked`);
          return {} as never;
        }
        const aborted = () => endCopies(host, args);
        if (command === 'transfer.send') context.signal.addEventListener('abort', aborted, { once: true });
        try {
          return await bus.request(host, command, args, {
            id,
            timeoutMs: options.timeoutMs ?? 60_000,
            ...(cancelled.has(command) ? { signal: context.signal } : {}),
            onProgress: options.onProgress,
          });
        } catch (error) {
          if (
            !(error instanceof VsError) ||
            error.code !== 'unavailable' ||
            attempt >= 3 ||
            context.signal.aborted
          )
            throw error;
          // what ran out of time was cancelled, and is remembered as failed; else the same id joins what is at work
          if (error.details?.['timedOut']) id = `${first.slice(-60)}_r${attempt + 1}`;
          await clock.sleep(500);
        } finally {
          context.signal.removeEventListener('abort', aborted);
        }
      }
    },
  };
}
