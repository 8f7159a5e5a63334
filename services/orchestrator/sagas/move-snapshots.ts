import type { Args } from '../../../shared/contract/commands.ts';
import { VsError } from '../../../shared/errors.ts';
import { snapshotsText } from '../../../shared/kept.ts';
import type { Agents } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import { pass } from '../passes.ts';
import { size } from '../text.ts';
import type { MovePlan } from './move.ts';

/** A kept snapshot that lies in the staging of the target, as `label`. */
type Come = Args<'snapshot.arrive'>['snapshots'][number];

/**
 * Kept snapshots go first, the oldest one whole and each of the others as what differs from the one before it: what is live then goes as what
 * differs from the newest, so all of them share on the target what they share here. What the target still has of an earlier time is sent again:
 * it shares nothing with what comes, and goes for it.
 */
export function sendSnapshots(plan: MovePlan, agents: Agents): Step {
  const { name, source, target } = plan;
  const both = (context: StepContext) => ({ name, saga: context.id });
  return {
    name: 'snapshots',
    host: source,
    async do(context) {
      const { snapshots } = await agents.ask(source, 'snapshot.kept', { name }, context);
      const come: Come[] = [];
      let bytes = 0;
      for (const { mounted: _mounted, name: _name, ...record } of snapshots) {
        const sent = await pass(agents, { ...plan, kept: record.snapshot }, context, {
          final: false,
          tag: `kept${record.taken}`,
        }).catch((error: unknown) => {
          // the schedule has removed it meanwhile
          if (error instanceof VsError && error.code === 'not-found') return undefined;
          throw error;
        });
        if (!sent?.label) continue;
        bytes += sent.bytes;
        come.push({ label: sent.label, record });
      }
      await agents.ask(target, 'transfer.flush', both(context), context, { timeoutMs: 600_000 });
      context.say(`${snapshotsText(come.length, 'the')}, ${size(bytes)}`);
      return { come };
    },
    async undo(context) {
      await agents.ask(source, 'transfer.close', both(context), context);
      await agents.ask(source, 'snapshot.remove', both(context), context);
    },
  };
}

/** They are kept ones of the target from now on, before anything of the source goes. */
export function keepSnapshots(plan: MovePlan, agents: Agents): Step {
  const { name, target } = plan;
  return {
    name: 'keep',
    host: target,
    async do(context) {
      const { come = [] } = (context.outputs['snapshots'] ?? {}) as { come?: Come[] };
      if (come.length === 0) return;
      const args = { name, saga: context.id, snapshots: come };
      await agents.ask(target, 'snapshot.arrive', args, context, { timeoutMs: 600_000 });
      context.say(`${snapshotsText(come.length, 'the')} ${come.length === 1 ? 'is' : 'are'} there`);
    },
  };
}
