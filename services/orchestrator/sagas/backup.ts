import { readFileSync } from 'node:fs';
import { CLOCKS_DIFFER_MS } from '../../../shared/contract/command.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { type Route, pass, passText } from '../passes.ts';
import type { BackupPlan } from '../plans/backup.ts';
import { groups, moment, seconds, size } from '../text.ts';
import { stoppedSteps } from './backup-stop.ts';

const LABEL = 'backup';
/** The scripts of a vserver around its snapshot: twice the longest SNAPSHOT_SCRIPT_SECONDS, and the snapshot. */
const SCRIPTS_MS = 1_300_000;
const LONG_MS = 48 * 3_600_000;
/** So many passes after the first, of what runs, without a snapshot. */
const FURTHER = 2;
/** A host that is away at the end is waited for so often, 30 s each. */
const CLEARS = 4;

/** What is not on the disk of the repository's machine yet goes with its boot, which on a host is a new life of its agent. */
const lifeOf = ({ target }: BackupPlan, agents: Agents): string | undefined =>
  target === 'master'
    ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    : agents.life?.(target);

type Both = { name: string; saga: string };

/** The route into the open backup; its basis is known once that was opened. */
function routeOf(plan: BackupPlan, context: StepContext): Route {
  const { basis, taken, resumed } = context.outputs['open'] ?? {};
  const into = {
    repository: plan.repository,
    ...(typeof basis === 'string' ? { basis } : {}),
    ...(typeof taken === 'number' ? { taken: Math.max(0, taken - CLOCKS_DIFFER_MS) } : {}),
    begun: resumed === true,
  };
  return { ...plan, into, ...(plan.kind === 'snapshot' ? { label: LABEL } : {}) };
}

/** A repository that is full keeps nothing of what it could not take. */
async function orNothing<T>(
  plan: BackupPlan,
  agents: Agents,
  context: StepContext,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof VsError) || !/no space left|quota exceeded/i.test(error.message)) throw error;
    const both = { name: plan.name, saga: context.id };
    await agents.ask(plan.target, 'transfer.close', both, context, { tag: 'full' });
    await agents.ask('master', 'repository.discard', { ...both, repository: plan.repository }, context, {
      tag: 'full',
      timeoutMs: LONG_MS,
    });
    throw new VsError(error.code, `the repository ${plan.repository} is full: ${error.message}`, {
      details: { host: plan.target },
      cause: error,
    });
  }
}

/** Passes of what runs: the first one, and those of what changed meanwhile. */
async function copyLive(plan: BackupPlan, agents: Agents, context: StepContext, further: number) {
  const route = routeOf(plan, context);
  const where = { name: plan.name, saga: context.id, repository: plan.repository };
  let last = await pass(agents, route, context, { final: false, tag: 'seed', total: plan.bytes });
  let { bytes } = last;
  context.say(passText(last));
  for (let count = 1; count <= further; count++) {
    await agents.ask(plan.target, 'transfer.flush', where, context, {
      tag: `f${count}`,
      timeoutMs: 3_600_000,
    });
    context.next(`delta ${count}`);
    last = await pass(agents, route, context, { final: false, tag: `delta${count}`, since: last.began });
    bytes += last.bytes;
    context.say(passText(last));
  }
  return { ...last, bytes };
}

/** The steps of a backup. The vserver is not touched, unless it is to be stopped for it. */
export function backupSteps(plan: BackupPlan, agents: Agents): Step[] {
  const { name, source, kind, stop, repository } = plan;
  const both = (context: { id: string }): Both => ({ name, saga: context.id });
  const open: Step = {
    name: 'open',
    host: 'master',
    async do(context) {
      const args = { ...both(context), repository, bytes: plan.bytes };
      const { basis, taken, resumed, free } = await agents.ask('master', 'repository.open', args, context, {
        timeoutMs: LONG_MS,
      });
      const from = resumed
        ? 'goes on from an interrupted one'
        : basis
          ? `what changed since ${basis}`
          : 'the first one';
      context.say(`${from}; ${repository} has ${size(free)} free`);
      return { basis, taken, resumed };
    },
    async undo(context) {
      await agents.ask(plan.target, 'transfer.close', both(context), context);
      const args = { ...both(context), repository, keep: true };
      await agents.ask('master', 'repository.discard', args, context, { timeoutMs: LONG_MS });
    },
  };
  const snapshot: Step = {
    name: 'snapshot',
    host: source,
    async do(context) {
      const of = { saga: context.id, label: LABEL };
      const taken = Date.now();
      if (stop || !plan.running) {
        await agents.ask(source, 'snapshot.renew', { name, ...of }, context, { timeoutMs: 600_000 });
        return { taken };
      }
      // with its own scripts around it, and frozen for the moment
      await agents.ask(source, 'snapshot.remove', { name, ...of }, context, {
        timeoutMs: 600_000,
        tag: 'old',
      });
      const { frozenMs } = await agents.ask(source, 'snapshot.take', { name, of }, context, {
        timeoutMs: SCRIPTS_MS,
      });
      if (frozenMs !== undefined) context.say(`it stood still for ${Math.round(frozenMs)} ms`);
      return { taken, frozenMs };
    },
    undo: async (context) =>
      void (await agents.ask(source, 'snapshot.remove', both(context), context, { timeoutMs: 600_000 })),
  };
  const seed: Step = {
    name: 'seed',
    host: source,
    do: (context) =>
      orNothing(plan, agents, context, async () => {
        const { bytes, began } = await copyLive(plan, agents, context, 0);
        await agents.ask(plan.target, 'transfer.flush', { ...both(context), repository }, context, {
          timeoutMs: 3_600_000,
        });
        return { bytes, began };
      }),
  };
  const copy: Step = {
    name: 'copy',
    host: source,
    do: (context) =>
      orNothing(plan, agents, context, async () => {
        const boot = lifeOf(plan, agents);
        if (kind === 'live') {
          const { bytes, began } = await copyLive(plan, agents, context, FURTHER);
          return { bytes, taken: began, boot };
        }
        const { basis, resumed } = context.outputs['open'] ?? {};
        // many small files go in half the time as one stream (measured.md); what no stream carries, sockets, goes after it
        const streamed =
          kind === 'snapshot' && basis === undefined && resumed !== true
            ? await copyLive(plan, agents, context, 0)
            : undefined;
        const since = streamed?.began ?? context.outputs['seed']?.['began'];
        const sent = await pass(agents, routeOf(plan, context), context, {
          final: true,
          tag: 'copy',
          total: plan.bytes,
          ...(typeof since === 'number' ? { since } : {}),
        });
        context.say(passText(sent));
        const taken = context.outputs['snapshot']?.['taken'] ?? sent.began;
        return { ...sent, bytes: sent.bytes + (streamed?.bytes ?? 0), taken, boot };
      }),
    undo: async (context) => void (await agents.ask(source, 'transfer.close', both(context), context)),
  };
  const verify: Step = {
    name: 'verify',
    host: 'master',
    async do(context) {
      const { treeBytes, treeFiles, boot } = context.outputs['copy'] as {
        treeBytes?: number;
        treeFiles?: number;
        boot?: string;
      };
      const where = { ...both(context), repository };
      await agents.ask(plan.target, 'transfer.flush', where, context, { timeoutMs: 3_600_000 });
      if (boot !== lifeOf(plan, agents))
        throw new VsError(
          'failed',
          `${plan.target === 'master' ? 'the master' : plan.target} restarted after the copy came, so it may not have all of it`,
        );
      if (kind !== 'live') {
        const whole = { ...where, copy: 'rsync' as const, treeBytes, treeFiles };
        await agents.ask(plan.target, 'transfer.verify', whole, context, { timeoutMs: 3_600_000 });
      } // a live tree has changed since: that rsync ended well has to do
      context.say(kind === 'live' ? 'taken live' : `${groups(treeFiles ?? 0)} files agree`);
    },
  };
  const seal: Step = {
    name: 'seal',
    host: 'master',
    do: (context) =>
      orNothing(plan, agents, context, async () => {
        const { uuid, epoch, mode, enabled } = plan;
        const lock = context.outputs['lock'];
        const running = lock ? lock['running'] === true : plan.running;
        const taken = Number(context.outputs['copy']?.['taken']);
        const backup = { uuid, host: source, epoch, mode, kind, running, enabled, taken };
        const done = await agents.ask(
          'master',
          'repository.seal',
          { ...both(context), repository, backup },
          context,
          { timeoutMs: LONG_MS },
        );
        const { id, addedBytes } = done.backup;
        context.say(`${id}, ${size(addedBytes ?? 0)} more than before`);
        return { backup: id, repository, taken, added: addedBytes };
      }),
  };
  const letGo: Step = {
    name: 'let go',
    host: source,
    pnr: true,
    async do(context) {
      const id = String(context.outputs['seal']?.['backup']);
      const clearAway = async (tag: string): Promise<void> => {
        await agents.ask(source, 'transfer.remember', { ...both(context), repository, id }, context);
        await agents.ask(source, 'transfer.close', both(context), context);
        const { snapshots } = await agents.ask(source, 'snapshot.list', { name }, context, { tag });
        for (const one of snapshots.filter(({ label }) => label === LABEL))
          // also of a host that was away at the end
          await agents.ask(source, 'snapshot.remove', { name, saga: one.saga }, context, {
            timeoutMs: 600_000,
            tag: one.saga,
          });
      };
      for (let attempt = 1; ; attempt++)
        try {
          return await clearAway(String(attempt));
        } catch (error) {
          // the broker or the host may just restart
          if (error instanceof VsError && error.code === 'unavailable' && attempt < CLEARS) continue;
          // the backup is whole; the next one clears away what this one has left
          return context.say(`${source} could not clear away: ${(error as Error).message}`);
        }
    },
  };
  const byStop = stop
    ? kind === 'snapshot'
      ? [...stoppedSteps(plan, agents, snapshot), copy]
      : [seed, ...stoppedSteps(plan, agents, copy)]
    : kind === 'snapshot'
      ? [snapshot, copy]
      : [copy];
  return [open, ...byStop, verify, seal, letGo];
}

const taking: Record<BackupPlan['kind'], string> = {
  snapshot: 'from a snapshot',
  live: 'from what ran meanwhile',
  stopped: 'while it did not run',
};

export const backupTexts = (plan: BackupPlan) => ({
  closing: (
    outputs: Record<string, Record<string, unknown>>,
    state: { bytes?: number | undefined; downtimeMs?: number | undefined },
  ): string => {
    const { backup, taken } = outputs['seal'] ?? {};
    // a later life of the orchestrator has not seen the progress of the copies
    const steps = [outputs['seed']?.['bytes'], outputs['copy']?.['bytes']].map((one) => Number(one ?? 0));
    const bytes = Math.max(state.bytes ?? 0, (steps[0] ?? 0) + (steps[1] ?? 0));
    const down = state.downtimeMs === undefined ? '' : `; it was down for ${seconds(state.downtimeMs)}`;
    return `${plan.name} is backed up as ${String(backup)} in ${plan.repository}: as it was at ${moment(Number(taken))}, taken ${taking[plan.kind]}, ${size(bytes)} sent${down}.`;
  },
  failed: (reason: string, state: { downtimeMs?: number | undefined }): string => {
    const down =
      state.downtimeMs === undefined ? '' : ` It runs again, and was down for ${seconds(state.downtimeMs)}.`;
    return `${plan.name} was not backed up: ${reason}.${down} The backups before stay as they were.`;
  },
});
