import type { BackupProof } from '../../../shared/contract/backup.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import type { BackupTestPlan } from '../plans/backup-test.ts';
import { moment, seconds } from '../text.ts';
import { copySteps, fetchStep, release } from './backup-restore.ts';
import { holdStep, letGo } from './hold-backup.ts';
import { lockStep, stageStep } from './steps.ts';

/** What was not as it should be, in one sentence for people. */
export const faultsOf = ({ checks }: Pick<BackupProof, 'checks'>): string =>
  checks
    .filter((one) => !one.ok)
    .map((one) => `${one.check}: ${one.message}`)
    .join('; ');

/**
 * The steps of a test: the backup comes into the staging of a host, is started there without a wire, looked at, and ends, whatever
 * it was found to be. It never leaves the staging, so nobody owns it and nothing starts it again. All of it can be undone.
 */
export function backupTestSteps(plan: BackupTestPlan, agents: Agents): Step[] {
  const { name, of, target } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  return [
    holdStep(agents, plan),
    lockStep(agents, { name, host: target }),
    stageStep(agents, { name, host: target, tree: true, bytes: () => plan.bytes }),
    ...(plan.fetch ? [fetchStep(plan, agents)] : []),
    ...copySteps(plan, agents),
    {
      name: 'try',
      host: target,
      async do(context) {
        const args = { ...both(context), patience: plan.patience };
        const found = await agents.ask(target, 'host-agent.try', args, context, {
          timeoutMs: plan.patience + 300_000,
          onProgress: (progress) => context.progress(progress),
        });
        const good = found.checks.filter((one) => one.ok).length;
        context.say(`${good} of ${found.checks.length} checks are well`);
        return { ...found, at: Date.now() };
      },
      undo: async (context) =>
        void (await agents.ask(target, 'host-agent.end-try', both(context), context, { timeoutMs: 120_000 })),
    },
    {
      name: 'record',
      host: 'master',
      async do(context) {
        const { checks, ms, at } = context.outputs['try'] as Pick<BackupProof, 'checks' | 'ms'> & {
          at: number;
        };
        const ok = checks.every((one) => one.ok);
        const proof = { ts: at, ok, host: target, saga: context.id, ms, checks };
        const { repository, id } = plan.backup;
        await agents.ask('master', 'repository.prove', { repository, vserver: of, id, proof }, context);
        // all that was made is removed by the way back, as it is after each other failure
        if (!ok) throw new VsError('failed', faultsOf(proof), { details: { host: target } });
        context.say(`backup ${id} is proved`);
        return { proved: true };
      },
    },
    {
      name: 'clear',
      host: target,
      async do(context) {
        await agents.ask(target, 'host-agent.end-try', both(context), context, { timeoutMs: 120_000 });
        await agents.ask(plan.source, 'transfer.close', both(context), context);
        if (plan.fetch) await release(plan, agents, context);
        await agents.ask(target, 'transfer.close', both(context), context, { tag: 'target' });
        await agents.ask(target, 'snapshot.discard', both(context), context, { timeoutMs: 600_000 });
        await agents.ask(target, 'host-agent.unlock', both(context), context);
        await letGo(agents, plan, context);
        context.say(`nothing of it is left on ${target}`);
      },
    },
  ];
}

export const backupTestTexts = (plan: BackupTestPlan) => ({
  closing: (outputs: Record<string, Record<string, unknown>>): string => {
    const { checks = [], ms = 0 } = (outputs['try'] ?? {}) as { checks?: unknown[]; ms?: number };
    return `Backup ${plan.backup.id} of ${plan.of} is proved: as it was at ${moment(plan.taken)} it starts on ${plan.target}, and all ${checks.length} checks are well, after ${seconds(ms)}. Nothing of it is left there.`;
  },
  failed: (reason: string): string =>
    `Backup ${plan.backup.id} of ${plan.of} is not proved: ${reason}. Nothing of it is left on ${plan.target}; the backup stays as it was.`,
});
