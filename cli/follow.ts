import type { SagaProgress, SagaState } from '../shared/contract/saga.ts';
import { VsError } from '../shared/errors.ts';
import type { Client } from './client.ts';
import { exitCodeOf } from './exit.ts';
import { size, span } from './table.ts';

type Step = SagaState['steps'][number];
const BAR = 25;

/** One step as a line of at most 80 columns; the live one has its bar. */
export function stepLine(step: Step, progress?: SagaProgress, width = 80, downMs?: number): string {
  const label = `  ${step.step.padEnd(10)} `;
  if (step.state === 'running' || step.state === 'undoing') {
    const said = progress?.step === step.step ? progress : undefined;
    const share = said?.percent ?? (said?.total ? ((said.bytes ?? 0) * 100) / said.total : undefined);
    const parts: string[] = [];
    if (share !== undefined) {
      const filled = Math.max(0, Math.min(BAR, Math.round((share / 100) * BAR)));
      parts.push(`[${`${'='.repeat(filled)}${filled < BAR ? '>' : ''}`.padEnd(BAR).slice(0, BAR)}]`);
    }
    if (said?.bytes !== undefined) parts.push(size(said.bytes));
    if (said?.rate !== undefined) parts.push(` ${size(said.rate)}/s`);
    if (said?.eta !== undefined) parts.push(` ${Math.ceil(said.eta / 1000)} s left`);
    if (parts.length === 0)
      parts.push(said?.message ?? (step.state === 'undoing' ? 'undoing' : (step.message ?? '...')));
    return `${label}${parts.join(' ')}`.slice(0, width);
  }
  const room = width - label.length - 27;
  if (step.state === 'undone') return `${label}undone`;
  const text =
    step.state === 'done'
      ? (step.message ?? 'done')
      : `${step.state}${step.message ? `: ${step.message}` : ''}`;
  const time = step.ms === undefined ? '' : span(step.ms);
  const down = downMs === undefined ? '' : ` ${span(downMs)} down`;
  return `${label}${clip(text, room).padEnd(room)} ${time.padStart(8)}${step.downtime ? `  |${down}` : ''}`.trimEnd();
}

/** What is at work: one step with its bar, or several parts of one in short. */
function liveText(running: Step[], progress: SagaProgress | undefined, width: number): string {
  const parts = running.filter((step) => !step.step.includes(' '));
  const [only] = parts.length > 0 ? parts : running;
  if (only && parts.length <= 1) return stepLine(only, progress, width);
  return clip(`  ${parts.map((step) => `${step.step} ${step.message ?? ''}`.trimEnd()).join('; ')}`, width);
}

/** A text of at most so many characters; one that is longer ends in dots. */
const clip = (text: string, room: number) => (text.length <= room ? text : `${text.slice(0, room - 3)}...`);

/** The last sentence, for people. */
export function closing(state: SagaState): string {
  if (state.message) return state.message;
  const times = `${span((state.ended ?? Date.now()) - state.started)} in all${state.downtimeMs === undefined ? '' : `, ${span(state.downtimeMs)} of it down`}`;
  if (state.result === 'done') return `${state.kind} of ${state.vserver}: done, ${times}.`;
  const why = state.error
    ? ` step "${state.error.step}" failed on ${state.error.host}: ${state.error.message}`
    : '';
  return `${state.kind} of ${state.vserver}: ${state.result} (saga ${state.id}, ${times});${why}`;
}

/** The exit code of a saga that has ended. */
export function sagaExit(state: SagaState): number {
  if (state.result === 'done') return 0;
  if (state.result === 'stuck') return exitCodeOf('stuck');
  return 1;
}

/** What a saga will do, a line for each fact; '' when its state does not say. */
export function summaryText({ summary = [] }: SagaState): string {
  const width = Math.max(...summary.map(({ what }) => what.length), 0);
  const rows = summary.flatMap(({ what, text }) =>
    text.split('\n').map((line, at) => `  ${(at === 0 ? what : '').padEnd(width)}  ${line}`.trimEnd()),
  );
  return rows.map((row) => `${row}\n`).join('');
}

/** Draws a saga as it goes: live lines on a terminal, plain ones elsewhere; `told`: its title and summary were shown already. */
export function painter(out: NodeJS.WriteStream = process.stdout, told = false) {
  const live = out.isTTY && process.env['TERM'] !== 'dumb';
  const colours = live && !process.env['NO_COLOR'];
  let titled = told;
  let liveLine = false;
  let waits: string | undefined;
  const printed = new Set<string>();
  const clear = () => {
    if (liveLine) out.write('\r\u001b[K');
    liveLine = false;
  };
  const colour = (step: Step, line: string) => {
    if (!colours) return line;
    return step.state === 'failed' ? `\u001b[31m${line}\u001b[0m` : line;
  };
  return {
    state(state: SagaState, progress?: SagaProgress): void {
      clear();
      if (!titled) out.write(`${state.title}\n${summaryText(state)}`);
      titled = true;
      if (state.waits !== waits && state.waits) out.write(`  ${state.waits}\n`);
      waits = state.waits;
      const running: Step[] = [];
      for (const step of state.steps) {
        if (step.state === 'running' || step.state === 'undoing') running.push(step);
        if (!['done', 'failed', 'undone'].includes(step.state)) continue;
        const key = `${step.step} ${step.state}`;
        if (printed.has(key)) continue;
        printed.add(key);
        const last = step === state.steps.findLast((one) => one.downtime) ? state.downtimeMs : undefined;
        out.write(`${colour(step, stepLine(step, undefined, 80, last))}\n`);
      }
      if (live && running.length > 0 && state.result === 'running') {
        out.write(liveText(running, progress, Math.min(out.columns ?? 80, 80) - 1));
        liveLine = true;
      }
    },
    /** A line that a program of the saga wrote. */
    line(text: string): void {
      clear();
      out.write(`    | ${text}\n`);
    },
    /** Somebody stops looking: what comes next begins on a line of its own. */
    leave(): void {
      if (liveLine) out.write('\n');
      liveLine = false;
    },
    end(state: SagaState): void {
      clear();
      if (state.result === 'done') out.write(`${closing(state)}\n`);
      else process.stderr.write(`${closing(state)}\n`);
    },
  };
}

/** As shells have it: 128 and the number of SIGINT. */
const INTERRUPTED = 130;

/** What somebody reads who stops looking (ctrl-C): a saga needs nobody who looks. */
export const leaving = (id: string, state?: Pick<SagaState, 'kind' | 'vserver'>): string =>
  [
    `${state ? `The ${state.kind} of ${state.vserver}` : `Saga ${id}`} goes on without you.`,
    `  see it again:  vs saga follow ${id}`,
    `  undo it:       vs saga abort ${id}   (until its point of no return)`,
  ].join('\n');

/** Follows a saga to its end; ctrl-C ends the process, and says how to follow or abort it; `onState` sees every state (for --json). */
export async function follow(
  client: Client,
  id: string,
  paint: ReturnType<typeof painter> | undefined,
  first?: SagaState,
): Promise<SagaState> {
  let state = first;
  let progress: SagaProgress | undefined;
  const ended = new Promise<SagaState>((resolve, reject) => {
    const show = () => {
      if (!state) return;
      paint?.state(state, progress);
      if (state.result !== 'running') resolve(state);
    };
    show();
    client
      .subscribe([client.topics.sagaState(id), client.topics.sagaProgress(id)], (topic, payload) => {
        if (topic.endsWith('/state') && payload) state = payload as SagaState;
        else if (topic.endsWith('/progress') && payload) {
          progress = payload as SagaProgress;
          if (typeof progress['output'] === 'string') paint?.line(progress['output']);
        }
        show();
      })
      .then(
        () =>
          setTimeout(() => {
            if (!state)
              reject(new VsError('not-found', `There is no saga ${id}; "vs saga list" shows them.`));
          }, 1000).unref(),
        reject,
      );
  });
  const letGo = () => {
    paint?.leave();
    process.stderr.write(`${leaving(id, state)}\n`);
    process.exit(INTERRUPTED);
  };
  process.once('SIGINT', letGo);
  try {
    const last = await Promise.race([ended, client.lost]);
    paint?.end(last);
    return last;
  } finally {
    process.off('SIGINT', letGo);
  }
}
