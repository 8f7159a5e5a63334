import { z } from 'zod';
import { type Command, type Reply, command } from './contract/command.ts';
import { type Args, type CommandName, type Data, commands } from './contract/commands.ts';
import { VsError } from './errors.ts';

/** What a handler knows of the call it serves. */
export interface Call {
  id: string;
  issuer: string;
  signal: AbortSignal;
  progress(data: Record<string, unknown>): void;
}
export type Handlers = { [K in CommandName]?: (args: Args<K>, call: Call) => Promise<Data<K>> };

interface Run {
  result: Promise<Reply>;
  listeners: Set<(progress: Record<string, unknown>) => void>;
  abort: AbortController;
  keepMs: number;
  ended?: number;
}

const KEEP_MS = 600_000;
/** Steps of a saga are remembered longer: one of them may copy for hours, and a saga that is resumed asks all again. */
const KEEP_SAGA_MS = 86_400_000;
const KEEP_MAX = 2000;

/** The error of a reply from anything thrown; what is no VsError is a fault of ours and says so. */
export function toReplyError(error: unknown): Extract<Reply, { ok: false }>['error'] {
  if (error instanceof VsError) {
    return {
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.details ? { details: error.details } : {}),
    };
  }
  return {
    code: 'internal',
    message: `an error inside vs-tools: ${error instanceof Error ? error.message : String(error)}`,
    retryable: false,
  };
}

/** `message` and `path` of every fault of a value, as one sentence. */
const faultsOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'the value'}: ${issue.message}`).join('; ');

/**
 * Carries out commands of one target: parses by schema, refuses what is late or unknown, carries an id out once
 * and answers it again (also while it runs: the second caller joins).
 */
export function createDispatcher(handlers: Handlers, onFault: (error: unknown, name: string) => void) {
  const runs = new Map<string, Run>();
  const table = handlers as Record<string, ((args: unknown, call: Call) => Promise<unknown>) | undefined>;

  function parseArgs(name: string, args: unknown): unknown {
    const spec = commands[name as CommandName];
    if (!spec || !table[name]) {
      throw new VsError(
        'usage',
        `there is no command ${name} here; there are ${Object.keys(table).sort().join(', ')}`,
      );
    }
    const parsed = spec.args.safeParse(args);
    if (!parsed.success)
      throw new VsError('usage', `wrong arguments of ${name}: ${faultsOf(parsed.error)}`, {
        cause: parsed.error,
      });
    return parsed.data;
  }

  function prune(): void {
    const now = Date.now();
    for (const [id, run] of runs) {
      if (run.ended !== undefined && (now - run.ended > run.keepMs || runs.size > KEEP_MAX)) runs.delete(id);
    }
  }

  async function carryOut(name: string, envelope: Command, id: string, run: Run): Promise<Reply> {
    try {
      if (envelope.deadline !== undefined && Date.now() > envelope.deadline) {
        throw new VsError(
          'deadline',
          `${name} came ${Date.now() - envelope.deadline} ms past its deadline and was not carried out`,
        );
      }
      const args = parseArgs(name, envelope.args);
      const progress = (data: Record<string, unknown>) => {
        for (const listener of run.listeners) listener(data);
      };
      const data = await table[name]?.(args, {
        id,
        issuer: envelope.issuer ?? 'unknown',
        signal: run.abort.signal,
        progress,
      });
      return { id, ok: true, data: data ?? {} };
    } catch (error) {
      onFault(error, name);
      return { id, ok: false, error: toReplyError(error) };
    } finally {
      run.ended = Date.now();
      run.listeners.clear();
    }
  }

  return {
    /** Parses the envelope. Throws VsError 'usage'. */
    parse(payload: unknown): Command {
      const parsed = command.safeParse(payload);
      if (!parsed.success)
        throw new VsError(
          'usage',
          `this is no command: ${faultsOf(parsed.error)}; expected {"id"?, "replyTo"?, "issuer"?, "deadline"?, "args"}`,
        );
      return parsed.data;
    },
    /** Carries a command out, or joins or repeats the answer of one with the same id. */
    async call(
      name: string,
      envelope: Command,
      id: string,
      onProgress?: (progress: Record<string, unknown>) => void,
    ): Promise<Reply> {
      prune();
      const key = `${name} ${id}`;
      const known = runs.get(key);
      if (known) {
        if (onProgress && known.ended === undefined) known.listeners.add(onProgress);
        return known.result;
      }
      const run: Run = {
        result: Promise.resolve({ id, progress: {} }),
        listeners: new Set(onProgress ? [onProgress] : []),
        abort: new AbortController(),
        keepMs: envelope.args['saga'] === undefined ? KEEP_MS : KEEP_SAGA_MS,
      };
      runs.set(key, run);
      run.result = carryOut(name, envelope, id, run);
      return run.result;
    },
    /** Asks everything that runs to end (the process stops). */
    abortAll(): void {
      for (const run of runs.values()) if (run.ended === undefined) run.abort.abort();
    },
  };
}
export type Dispatcher = ReturnType<typeof createDispatcher>;
