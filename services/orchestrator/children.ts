import { createHash } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { StepContext } from './executor.ts';
import type { Deciding, Planned } from './plans/planned.ts';

/** A saga that a step begins. */
export interface Child {
  kind: SagaState['kind'];
  /** What the step knows it by, the same in each life of the step. */
  tag: string;
  /** As a person would have given them, for who reads the saga. */
  args: Record<string, unknown>;
  /** Decides it; asked only when it was not begun yet. What it throws is passed on. */
  plan(): Promise<Planned>;
  /** Sees its state whenever that changes. */
  watch?(state: SagaState): void;
}

/** How a step of a saga begins other sagas. */
export interface Children {
  /**
   * The end of a child: it is begun, or joined, or its end is told again, in whatever life of the orchestrator. Once the
   * parent is aborted no further one begins (throws VsError); one that runs goes on to its end, which is waited for.
   */
  run(context: StepContext, child: Child): Promise<SagaState>;
  /** What its decisions look at. */
  deciding: Deciding;
  clock: Clock;
}

/** The id of a child: short, since the ids of its commands are made from it, and the same in each life of its parent. */
export const childId = (parent: string, { kind, tag }: Pick<Child, 'kind' | 'tag'>): string =>
  `${kind}-${createHash('sha256').update(`${parent} ${tag}`).digest('hex').slice(0, 12)}`;

/** Lets the steps of sagas begin others. */
export function openChildren(parts: {
  deciding: Deciding;
  clock: Clock;
  /** Who sees the state of a child whenever that changes. */
  watchers: Map<string, (state: SagaState) => void>;
  state(id: string): SagaState | undefined;
  /** What has this id already: its end, or one that comes. */
  join(id: string): Promise<SagaState> | SagaState | undefined;
  begin(
    planned: Planned,
    args: Record<string, unknown>,
    issuer: string,
    child: { id: string; parent: string },
  ): Promise<SagaState>;
}): Children {
  const { deciding, clock, watchers, state, join, begin } = parts;
  return {
    deciding,
    clock,
    async run(parent, child) {
      const id = childId(parent.id, child);
      const go = () => {
        if (parent.signal.aborted) throw new VsError('failed', 'the saga was aborted');
      };
      if (child.watch) watchers.set(id, child.watch);
      const there = join(id);
      if (there) return there;
      go();
      const planned = await child.plan();
      go();
      const issuer = state(parent.id)?.issuer ?? 'unknown';
      return begin(planned, child.args, issuer, { id, parent: parent.id });
    },
  };
}
