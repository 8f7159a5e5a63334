import type { CopyRecord } from '../../../shared/contract/snapshot.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { type Route, livePasses, pass } from '../passes.ts';
import { getWays, groups, moment, size } from '../text.ts';
import { stageStep } from './steps.ts';

export interface GetPlan extends Route {
  kind: CopyRecord['kind'];
  files: number;
  /** The master has a copy of this name, which stays until the new one is whole. */
  former: boolean;
  uuid: string;
  epoch: number;
  running: boolean;
  enabled: boolean;
}

/** The snapshot that rsync copies from. */
const LABEL = 'get';

/** The steps of a get: a copy of a vserver comes to the master. The vserver itself is not touched, and not locked. */
export function getSteps(plan: GetPlan, agents: Agents): Step[] {
  const { name, source, copy, kind } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const bySnapshot = kind === 'snapshot' && copy === 'rsync';
  const steps: (Step | false)[] = [
    stageStep(agents, { name, host: 'master', tree: copy === 'rsync', bytes: () => plan.bytes }),
    {
      name: 'copy',
      host: source,
      async do(context) {
        let taken = Date.now();
        if (bySnapshot)
          await agents.ask(source, 'snapshot.renew', { ...both(context), label: LABEL }, context);
        const route = { ...plan, ...(bySnapshot ? { label: LABEL } : {}) };
        if (kind === 'live') {
          const { bytes, began } = await livePasses(agents, route, context);
          return { bytes, taken: began };
        }
        const { began, ...sent } = await pass(agents, route, context, {
          final: true,
          tag: 'copy',
          total: plan.bytes,
        });
        if (kind === 'stopped') taken = began;
        context.say(size(sent.bytes));
        return { ...sent, taken };
      },
      async undo(context) {
        await agents.ask(source, 'transfer.close', both(context), context);
        await agents.ask(source, 'snapshot.remove', both(context), context);
      },
    },
    {
      name: 'verify',
      host: 'master',
      async do(context) {
        const {
          label: sent,
          treeBytes,
          treeFiles,
          taken,
        } = context.outputs['copy'] as {
          label?: string;
          treeBytes?: number;
          treeFiles?: number;
          taken: number;
        };
        const label = copy === 'btrfs-send' ? sent : undefined;
        if (kind !== 'live') {
          const whole = { ...both(context), copy, label, treeBytes, treeFiles };
          await agents.ask('master', 'transfer.verify', whole, context, { timeoutMs: 600_000 });
        } // a live tree has changed since: that rsync ended well has to do
        if (label) await agents.ask('master', 'snapshot.promote', { ...both(context), label }, context);
        const record: CopyRecord = {
          version: 1,
          name,
          uuid: plan.uuid,
          host: source,
          epoch: plan.epoch,
          kind,
          running: plan.running,
          enabled: plan.enabled,
          taken,
          saga: context.id,
          bytes: plan.bytes,
          files: plan.files,
        };
        await agents.ask('master', 'snapshot.describe', { ...both(context), copy: record }, context);
        await agents.ask('master', 'transfer.flush', both(context), context, { timeoutMs: 600_000 });
        context.say(
          kind === 'live' ? 'taken live' : label ? 'received whole' : `${groups(treeFiles ?? 0)} files agree`,
        );
        return { taken };
      },
    },
    {
      name: 'let go',
      host: source,
      async do(context) {
        await agents.ask(source, 'transfer.close', both(context), context); // it forgets what it knows of live passes
        await agents.ask(source, 'snapshot.remove', both(context), context, { timeoutMs: 600_000 });
      },
    },
    plan.former && {
      name: 'put aside',
      host: 'master',
      pnr: true,
      async do(context) {
        await agents.ask('master', 'snapshot.trash', both(context), context);
        context.say('the copy before is in the trash of the copies');
      },
    },
    {
      name: 'keep',
      host: 'master',
      pnr: true,
      async do(context) {
        await agents.ask('master', 'snapshot.adopt', both(context), context);
        context.say('in its place');
      },
    },
    {
      name: 'clean up',
      host: 'master',
      do: async (context) =>
        void (await agents.ask('master', 'snapshot.discard', both(context), context, { timeoutMs: 600_000 })),
    },
  ];
  return steps.filter((step) => step !== false);
}

export const getTexts = (plan: GetPlan) => ({
  closing: (outputs: Record<string, Record<string, unknown>>): string =>
    `The master has a copy of ${plan.name} as it was on ${plan.source} at ${moment(Number(outputs['verify']?.['taken'] ?? Date.now()))}, taken ${getWays[plan.kind]}; it is disabled. Bring it to a host with: vs put ${plan.name} HOST`,
  failed: (reason: string): string =>
    `${plan.name} was not copied: ${reason}. ${plan.former ? 'The copy that the master had stays as it was.' : 'Nothing of it is left on the master.'}`,
});
