import type { SagaState } from '../../../shared/contract/saga.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Children } from '../children.ts';
import type { StepContext } from '../executor.ts';

/** The rows of vservers among those of steps, whose names have a blank. */
export const partsOf = (state: SagaState): SagaState['steps'] =>
  state.steps.filter((row) => !row.step.includes(' '));

/** A line for each that stays, with its reason; '' when there is none. */
export const staying = (state: SagaState): string =>
  partsOf(state)
    .filter((row) => row.state !== 'done')
    .map((row) => `\n  ${row.step.padEnd(10)} ${row.message ?? 'stays'}`)
    .join('');

/** How often, and how long (ms), a vserver that another saga has is waited for. */
const TAKEN = { times: 120, waitMs: 5000 };
/** How long (ms) hosts that are away are waited for, all of them together: they may just restart. */
const AWAY = { forMs: 30_000, waitMs: 1000 };

/**
 * Does the same with each vserver, so many at a time, each in a row of its own; one that fails does not end the others, unless
 * only the first one may (firstOnly).
 * Answers how many went. Throws VsError when one stayed, and once those that were at work have ended when it is aborted.
 */
export async function moveAll<T extends { name: string }>(
  context: StepContext,
  { clock }: Pick<Children, 'clock'>,
  { vservers, parallel, firstOnly }: { vservers: T[]; parallel: number; firstOnly?: boolean },
  one: (vserver: T, say: (what: string) => void) => Promise<string>,
): Promise<number> {
  const stayed: string[] = [];
  const left = vservers.values();
  let awaySince: number | undefined;
  async function patiently(vserver: T, say: (what: string) => void): Promise<string> {
    for (let times = 0; ; times++) {
      try {
        const message = await one(vserver, say);
        awaySince = undefined;
        return message;
      } catch (error) {
        if (!(error instanceof VsError) || !error.retryable || context.signal.aborted) throw error;
        const isTaken = error.code === 'conflict';
        if (!isTaken) awaySince ??= clock.elapsed();
        const isOver = isTaken
          ? times >= TAKEN.times
          : clock.elapsed() - (awaySince ?? clock.elapsed()) >= AWAY.forMs;
        if (isOver) throw error;
        say(`waits: ${error.message}`);
        await clock.sleep(isTaken ? TAKEN.waitMs : AWAY.waitMs);
      }
    }
  }
  async function worker(): Promise<void> {
    for (const vserver of left) {
      if (context.signal.aborted || (firstOnly && stayed.length > 0)) return;
      const row = { step: vserver.name, started: clock.now() };
      const begun = clock.elapsed();
      const took = () => Math.round(clock.elapsed() - begun);
      const say = (message: string) => context.part({ ...row, state: 'running', message });
      say('...');
      try {
        const message = await patiently(vserver, say);
        context.part({ ...row, state: 'done', ms: took(), message });
      } catch (error) {
        stayed.push(vserver.name);
        const message = error instanceof Error ? error.message : String(error);
        context.part({ ...row, state: 'failed', ms: took(), message });
      }
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker));
  if (context.signal.aborted) throw new VsError('failed', 'the saga was aborted');
  if (stayed.length > 0) throw new VsError('failed', `${stayed.join(', ')} stayed`);
  return vservers.length;
}
