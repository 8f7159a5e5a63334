import type { SagaState } from '../../shared/contract/saga.ts';
import type { Line } from './journal.ts';

type Loose = Record<string, unknown>;

/**
 * The lines of a journal that an older version wrote, as this one would have written them; test/fixtures/journals has one of
 * each. Kinds of sagas that are gone, and steps that another one took over, are named here.
 */
export function migrate(lines: Line[]): Line[] {
  const begin = lines[0] as { plan?: { kind?: string; plan?: Loose } } | undefined;
  if (begin?.plan?.kind !== 'move' && begin?.plan?.kind !== 'create') return lines;
  const { kind, plan = {} } = begin.plan;
  const rename = kind === 'move' && 'transport' in plan ? earlySteps : (step: string) => step;
  return lines.map((line) => ({
    ...line,
    ...(line.step === undefined ? {} : { step: rename(line.step) }),
    ...(line['plan'] ? { plan: { kind, plan: kind === 'move' ? movePlan(plan) : createPlan(plan) } } : {}),
    ...(line['state'] ? { state: withSteps(line['state'] as SagaState, rename) } : {}),
  }));
}

/** The first moves brought the network up in a step of that name; `prepare` does that, and what is undone is the same. */
const earlySteps = (step: string): string => (step === 'network' ? 'prepare' : step);
const withSteps = (state: SagaState, rename: (step: string) => string): SagaState => ({
  ...state,
  steps: state.steps.map((row) => ({ ...row, step: rename(row.step) })),
});
/** Before copies went through TLS a plan named the transport only. What was in the clear then is private from here on. */
function movePlan(plan: Loose): Loose {
  if (!('transport' in plan)) return plan;
  const { transport, ...rest } = plan;
  return { ...rest, copy: transport === 'btrfs-send' ? 'btrfs-send' : 'rsync', channel: 'tls' };
}
function createPlan(plan: Loose): Loose {
  const clone = plan['clone'] as Loose | undefined;
  return clone && !('channel' in clone) ? { ...plan, clone: { ...clone, channel: 'tls' } } : plan;
}
