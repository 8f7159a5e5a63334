import type { Line } from './journal.ts';

/** What a step keeps for the later ones (in the journal, so no secrets). */
export type Output = Record<string, unknown>;

/** What a journal says happened: finished steps with their outputs, and whether it was going back. */
export function replay(lines: Line[]) {
  const outputs: Record<string, Output> = {};
  const started = new Set<string>();
  const undone = new Set<string>();
  let pnr = false;
  let failure: { step: string; message: string; code: string; host?: string | undefined } | undefined;
  let ended: Line | undefined;
  /** How often it was stuck: a new life of it asks anew, and is not given the answers of the last one. */
  let lives = 0;
  for (const line of lines) {
    const step = line.step ?? '';
    if (line.kind === 'started') started.add(step);
    if (line.kind === 'succeeded') outputs[step] = (line['output'] as Output | undefined) ?? {};
    if (line.kind === 'failed')
      failure = {
        step,
        message: String(line['message']),
        code: typeof line['code'] === 'string' ? line['code'] : 'failed',
        host: typeof line['host'] === 'string' ? line['host'] : undefined,
      };
    if (line.kind === 'undone') undone.add(step);
    if (line.kind === 'pnr') pnr = true;
    if (line.kind === 'abort')
      failure ??= { step: 'abort', message: String(line['message']), code: 'refused' };
    if (line.kind === 'end') {
      ended = line;
      lives++;
    }
  }
  return { outputs, started, undone, pnr, failure, ended, lives };
}
