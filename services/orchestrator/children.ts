import { createHash } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
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
