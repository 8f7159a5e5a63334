import type { Clock } from '../../shared/clock.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import { VsError } from '../../shared/errors.ts';
import type { Entry, Journals, Line } from './journal.ts';
import { migrate } from './migrate.ts';
import { type Output, replay } from './replay.ts';

export interface StepContext {
  id: string;
  /** Outputs of the steps before, by step name. */
  outputs: Record<string, Output>;
  signal: AbortSignal;
  /** Who began the saga. */
  issuer?: string | undefined;
  /** The same for each try of the same do or undo, so that an agent joins or repeats its answer. */
  command: (what: string) => string;
  progress(data: Record<string, unknown>): void;
  /** In an undo past the point of no return: the target is dead, and the source takes it back with this epoch. */
  back?: number | undefined;
  /** A line for people under this step: "host2 has 41 GB free". */
  say(message: string): void;
  /** Ends the row of what was done so far with a message, and begins one of its own, such as "delta 1". */
  next(row: string): void;
  /** A row of its own for a part of this step, after the rows that are there: shown as it is, ended by who made it. */
  part(row: SagaState['steps'][number]): void;
}
export interface Step {
  name: string;
  host: string;
  /** The vserver is down from here until the step that ends it. */
  downtime?: boolean;
  /** Its undo ends the downtime. */
  resumes?: boolean;
  /** After this step has begun there is no way back. */
  pnr?: boolean;
  do(context: StepContext): Promise<Output | void>;
  undo?(context: StepContext): Promise<void>;
}
export interface Saga {
  state: SagaState;
  steps: Step[];
  abort: AbortController;
  abortReason?: string;
  /** It is at its point of no return, or past it. */
  past?: boolean;
  /** A person said, past the point of no return, that the target is dead: it is undone all the same, and owned by this epoch. */
  back?: number;
  /** Hosts at which it takes one of the places for sagas (SAGAS_PER_HOST); none: it only waits for others. */
  places: string[];
  /** It waits until no other saga has a place there, and no other gets one meanwhile. */
  alone?: boolean;
  /** A step that changed things is named in the closing sentence by this. */
  closing(outputs: Record<string, Output>, state: SagaState): string;
  failed(reason: string, state: SagaState, back: boolean): string;
}
export interface ExecutorParts {
  journals: Journals;
  publish(state: SagaState): void;
  progress(id: string, data: Record<string, unknown>): void;
  /** How often and how long (ms) a step past the point of no return, or an undo, is tried. */
  retry: { times: number; waitMs: number };
  /** The journal cannot be written, and is tried again until it can; undefined: it can again. */
  blocked?(id: string, reason: string | undefined): void;
  log(message: string, facts: object): void;
  clock: Clock;
}

type Row = SagaState['steps'][number];
const doneAt = (row: Row, now: number) => ({ state: 'done' as const, ms: now - (row.started ?? now) });
/** What keeps a journal from being written and may pass by itself, or by a person's help. */
const passes = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE']);
const sentence = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Carries a saga to its end: done, undone or stuck. Resumes from what its journal says; each do and undo may run again. */
export async function execute(saga: Saga, parts: ExecutorParts): Promise<SagaState> {
  const { state, steps } = saga;
  const { journals, publish, clock } = parts;
  const lines = migrate(journals.read(state.id));
  const past = replay(lines);
  // a time of day that is set anew while it runs would make its durations wrong, even negative
  const origin = Math.max(clock.now(), lines.at(-1)?.ts ?? 0) - clock.elapsed();
  const now = () => Math.round(origin + clock.elapsed());
  const outputs = past.outputs;
  let pnr = past.pnr;
  if (pnr || past.back) saga.past = true;
  const wasDown = (line: Line) =>
    line.kind === 'started' && steps.some((step) => step.name === line.step && step.downtime);
  let downSince = lines.find(wasDown)?.ts;

  const rowOf = (name: string) => state.steps.find((row) => row.step === name);
  /** Changes a row; one that is not there comes before those that wait. */
  function place(row: Row): void {
    const known = rowOf(row.step);
    if (known) return void Object.assign(known, row);
    const next = state.steps.findIndex((one) => one.state === 'waiting');
    state.steps.splice(next < 0 ? state.steps.length : next, 0, row);
  }
  for (const line of lines) for (const row of (line['rows'] as Row[] | undefined) ?? []) place(row);

  /** Nothing goes on before this line is on the disk; a full disk is waited for. */
  async function write(line: Entry): Promise<void> {
    for (let blocked = false; ; blocked = true) {
      try {
        journals.append(state.id, line);
      } catch (error) {
        if (!passes.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
        if (!blocked) parts.blocked?.(state.id, sentence(error));
        await clock.sleep(parts.retry.waitMs);
        continue;
      }
      if (blocked) parts.blocked?.(state.id, undefined);
      return;
    }
  }
  function context(step: Step, what: 'do' | 'undo', attempt: number): StepContext {
    let current = step.name;
    return {
      id: state.id,
      outputs,
      signal: saga.abort.signal,
      issuer: state.issuer,
      back: saga.back,
      command: (name) =>
        `${state.id}-${step.name}-${what}-${name}-${past.lives > 0 ? `${past.lives}_` : ''}${attempt}`
          .replace(/[^A-Za-z0-9_-]/g, '_')
          .slice(-64),
      progress: (data) => parts.progress(state.id, { step: current, ...data }),
      say(message) {
        const row = rowOf(current);
        if (row) row.message = message;
        publish(state);
      },
      next(name) {
        endRow(current, 'done');
        const at = state.steps.findIndex((row) => row.step === current);
        current = name;
        const row = { step: name, host: step.host, state: 'running' as const, started: now() };
        const known = rowOf(name);
        if (known) Object.assign(known, row);
        else state.steps.splice(at + 1, 0, row);
        publish(state);
      },
      part(row) {
        place(row);
        publish(state);
      },
    };
  }
  function endRow(name: string, to: 'done' | 'failed', message?: string): void {
    const row = rowOf(name);
    if (row?.state !== 'running') return;
    Object.assign(row, doneAt(row, now()), { state: to }, message ? { message } : {});
  }
  /** Ends the rows of a step: its own, and those that it began with `next`. */
  function endRows(to: 'done' | 'failed', message?: string): void {
    for (const row of state.steps) endRow(row.step, to, message);
    publish(state);
  }
  function mark(step: Step, to: SagaState['steps'][number]['state'], extra: object = {}): void {
    const row = rowOf(step.name);
    if (row) Object.assign(row, { state: to, ...extra });
    publish(state);
  }
  async function end(result: 'done' | 'undone' | 'stuck', message: string): Promise<SagaState> {
    const last = { result, message, ended: now() };
    await write({ kind: 'end', result, message, state: { ...state, ...last, waits: undefined } });
    Object.assign(state, last);
    publish(state);
    return state;
  }

  async function forward(step: Step): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        if (saga.abortReason && (!pnr || saga.back)) throw new VsError('refused', saga.abortReason);
        const begun = now();
        mark(step, 'running', { started: begun });
        await write({ kind: 'started', step: step.name });
        if (step.pnr && !pnr) {
          if (saga.abortReason) throw new VsError('refused', saga.abortReason);
          saga.past = true; // from here on no abort is taken, also while the line waits for the disk
          await write({ kind: 'pnr', step: step.name });
          pnr = true;
        }
        if (step.downtime) downSince ??= begun;
        const output = (await step.do(context(step, 'do', attempt))) ?? {};
        if (saga.back) throw new VsError('refused', saga.abortReason ?? ''); // who is dead was not asked
        const done = now();
        const mine = state.steps.filter((row) => (row.started ?? 0) >= begun && row.state !== 'waiting');
        const rows = mine.map((row) => (row.state === 'running' ? { ...row, ...doneAt(row, done) } : row));
        await write({ kind: 'succeeded', step: step.name, output, rows });
        outputs[step.name] = output;
        if (output['up'] && downSince !== undefined) state.downtimeMs = done - downSince;
        if (typeof output['bytes'] === 'number') state.bytes = (state.bytes ?? 0) + output['bytes'];
        endRows('done');
        return;
      } catch (error) {
        parts.log(sentence(error), { saga: state.id, step: step.name, attempt });
        if (saga.back) pnr = false;
        if (saga.abortReason && !pnr) throw new VsError('refused', saga.abortReason, { cause: error });
        if (!pnr || attempt >= parts.retry.times) throw error;
        await write({ kind: 'retry', step: step.name, message: sentence(error) });
        await clock.sleep(parts.retry.waitMs);
      }
    }
  }
  async function backward(): Promise<boolean> {
    for (const step of steps.toReversed()) {
      if (!past.started.has(step.name) && rowOf(step.name)?.state === 'waiting') continue;
      if (!step.undo || past.undone.has(step.name)) continue;
      mark(step, 'undoing');
      await write({ kind: 'undoing', step: step.name });
      for (let attempt = 0; ; attempt++) {
        try {
          await step.undo({ ...context(step, 'undo', attempt), signal: new AbortController().signal });
          break;
        } catch (error) {
          parts.log(sentence(error), { saga: state.id, undo: step.name, attempt });
          if (attempt < parts.retry.times) {
            await write({ kind: 'retry', step: step.name, message: sentence(error) });
            await clock.sleep(parts.retry.waitMs);
            continue;
          }
          state.error = {
            code: 'stuck',
            step: `undo ${step.name}`,
            host: step.host,
            message: sentence(error),
          };
          return false;
        }
      }
      await write({ kind: 'undone', step: step.name });
      if (step.resumes && downSince !== undefined && state.downtimeMs === undefined)
        state.downtimeMs = now() - downSince;
      mark(step, 'undone');
    }
    return true;
  }

  if (past.failure && !pnr) {
    state.error = {
      ...past.failure,
      host: past.failure.host ?? steps.find((step) => step.name === past.failure?.step)?.host ?? '',
    };
  } else {
    for (const step of steps) {
      if (outputs[step.name]) {
        mark(step, 'done');
        continue;
      }
      try {
        await forward(step);
      } catch (error) {
        const code = error instanceof VsError ? error.code : 'internal';
        const host = error instanceof VsError ? error.details?.['host'] : undefined;
        state.error = {
          code,
          step: step.name,
          host: typeof host === 'string' ? host : step.host,
          message: sentence(error),
        };
        endRows('failed', sentence(error));
        mark(step, 'failed');
        if (!pnr)
          await write({
            kind: 'failed',
            step: step.name,
            host: state.error.host,
            message: sentence(error),
            code,
          });
        break;
      }
    }
    if (!state.error) return end('done', saga.closing(outputs, { ...state, ended: now() }));
    if (pnr)
      return end(
        'stuck',
        `${state.vserver}: step "${state.error.step}" failed on ${state.error.host} past the point of no return: ${state.error.message}. Mend that, then: vs saga resume ${state.id}`,
      );
  }
  const clean = await backward();
  const error = state.error;
  const isAbort = error?.step === 'abort' || (error !== undefined && error.message === saga.abortReason);
  if (!clean)
    return end(
      'stuck',
      `${state.vserver}: ${error?.step} failed on ${error?.host}: ${error?.message}. Mend that, then: vs saga resume ${state.id}`,
    );
  return end(
    'undone',
    saga.failed(
      isAbort ? error.message : `step "${error?.step}" failed on ${error?.host}: ${error?.message}`,
      state,
      saga.back !== undefined,
    ),
  );
}
