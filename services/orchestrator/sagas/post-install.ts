import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import type { Output } from '../replay.ts';

/** So long a post-install script may run (ms). */
const SCRIPT_MS = 3_600_000;
const NAME = 'post-install';

/** A newcomer that runs runs a script once; a failure of it undoes the newcomer, unless it is to be kept. `stop`: it was started for that alone. */
export function scriptSteps(
  agents: Agents,
  what: { name: string; host: string; script: string; keep?: boolean | undefined; stop: boolean },
): Step[] {
  const { name, host } = what;
  const step: Step = {
    name: NAME,
    host,
    async do(context) {
      try {
        const { code, log, tail } = await agents.ask(
          host,
          'host-agent.post-install',
          { name, saga: context.id, script: agents.seal(host, what.script), timeout: SCRIPT_MS },
          context,
          { timeoutMs: SCRIPT_MS + 60_000, onProgress: (progress) => context.progress(progress) },
        );
        const said = tail.split('\n').at(-1);
        if (code === 0) return context.say(said ? `done: ${said}` : 'done');
        throw new VsError(
          'failed',
          `the script ended with exit code ${code}${tail ? `: ${tail.replaceAll('\n', ' | ')}` : ''}; all that it said is in ${log} on ${host}`,
        );
      } catch (error) {
        const isOurs = error instanceof VsError && ['failed', 'deadline'].includes(error.code);
        if (!what.keep || !isOurs || context.signal.aborted) throw error;
        context.say('failed, and kept');
        return { kept: error.message };
      }
    },
  };
  const stop: Step = {
    name: 'stop',
    host,
    async do(context) {
      await agents.ask(host, 'host-agent.stop', { name, saga: context.id }, context, { timeoutMs: 120_000 });
      context.say('stopped');
    },
  };
  return [step, ...(what.stop ? [stop] : [])];
}

/** What the closing sentence says of a script that failed in one that is kept. */
export function keptText(outputs: Record<string, Output>): string {
  const why = outputs[NAME]?.['kept'];
  return typeof why === 'string' ? ` It was kept (--keep), but its post-install script failed: ${why}` : '';
}

/** A line of a journal as it is shown: a script may have passwords in it. */
export function withoutScript(line: Record<string, unknown>): Record<string, unknown> {
  const begun = line['plan'] as { plan?: Record<string, unknown> } | undefined;
  if (begun?.plan?.['postInstall'] === undefined) return line;
  return { ...line, plan: { ...begun, plan: { ...begun.plan, postInstall: '[hidden]' } } };
}
