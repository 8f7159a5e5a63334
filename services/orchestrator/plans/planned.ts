import type { SagaState } from '../../../shared/contract/saga.ts';
import type { Context } from '../../../shared/service.ts';
import type { Plan } from '../build.ts';
import type { Epochs } from '../epochs.ts';
import type { Marks } from '../marks.ts';
import type { Pool } from '../pool.ts';

/** What a command became once it was decided: what its journal begins with, and what people read. */
export type Planned = Plan & {
  title: string;
  /** The vserver it is about; the host, where it is about a whole one. */
  vserver: string;
  /** The host it is about, which no other such saga has then: it holds that, and no vserver. */
  host?: string;
  /** Other names that it holds while it runs: no other saga has them then. */
  also?: string[];
  /** A saga that makes way for it: what that one holds is free for it. */
  over?: string;
  /** What else its state shows from the beginning. */
  shows?: Pick<SagaState, 'way' | 'estimateMs' | 'summary'>;
  /** The arguments as everybody may see them, where not all of them may be seen. */
  args?: Record<string, unknown>;
  /** The host that gets something new by it; refused while that host is evacuated. */
  onto?: string;
};

/** What decisions about the pool look at; they change nothing. */
export interface Deciding {
  context: Pick<Context, 'bus' | 'settings' | 'log' | 'version'>;
  pool: Pool;
  epochs: Epochs;
  /** Sagas of the past, the newest first: how fast they were tells how long the next one takes. */
  past?: () => SagaState[];
  /** Hosts on which nothing new is placed. */
  marks: Marks;
}
