import { z } from 'zod';
import { CLOCKS_DIFFER_MS, type Command, type Reply, command } from './contract/command.ts';
import { type Args, type CommandName, type Data, commands } from './contract/commands.ts';
import { VsError } from './errors.ts';

/** What a handler knows of the call it serves. */
export interface Call {
  id: string;
  issuer: string;
  /** Raised when the issuer gives up, and when the process stops. What a handler throws then is its answer. */
  signal: AbortSignal;
  progress(data: Record<string, unknown>): void;
}
export type Handlers = { [K in CommandName]?: (args: Args<K>, call: Call) => Promise<Data<K>> };

interface Run {
  result: Promise<Reply>;
  /** By where they answer: who asks twice hears each word once. */
  listeners: Map<unknown, (progress: Record<string, unknown>) => void>;
  abort: AbortController;
  issuer: string;
  keepMs: number;
  ended?: number;
}

const KEEP_MS = 600_000;
/** Steps of a saga are remembered longer: one of them may copy for hours, and a saga that is resumed asks all again. */
const KEEP_SAGA_MS = 86_400_000;
const KEEP_MAX = 2000;
/** Not each command looks for all that is too old. */
const PRUNE_MS = 30_000;

/** What a disk may do to anybody (errno(3)) is no fault of ours. */
const disk: Record<string, string> = {
  ENOSPC: 'no space left on this host',
  EDQUOT: 'the quota of this host is used up',
  EROFS: 'a file system of this host can only be read',
  EIO: 'a disk of this host has an error',
};

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
  const { code, path } = error as NodeJS.ErrnoException;
  const full = code === undefined ? undefined : disk[code];
  if (full) return { code: 'failed', message: path ? `${full} at ${path}` : full, retryable: false };
  return {
    code: 'internal',
    message: `an error inside vs-tools: ${error instanceof Error ? error.message : String(error)}`,
    retryable: false,
  };
}

/** `message` and `path` of every fault of a value, as one sentence; what a stranger sent may be in it, so it is cut. */
function faultsOf(error: z.ZodError): string {
  const all = error.issues.map((issue) => `${issue.path.join('.') || 'the value'}: ${issue.message}`);
  const text = all.join('; ');
  return text.length > 500 ? `${text.slice(0, 500)}...` : text;
}

/**
 * Carries out commands of one target: parses by schema, refuses what is late or unknown, carries an id out once
 * and answers it again (also while it runs: the second caller joins). `inner`: what this process alone may ask of itself.
 */
export function createDispatcher(
  handlers: Handlers,
  onFault: (error: unknown, name: string) => void,
  inner: Handlers = {},
) {
  type Table = Record<string, ((args: unknown, call: Call) => Promise<unknown>) | undefined>;
  const runs = new Map<string, Run>();
  let pruned = 0;
  const table = handlers as Table;
  const handlerOf = (name: string) => table[name] ?? (inner as Table)[name];

  function parseArgs(name: string, args: unknown): unknown {
    const spec = commands[name as CommandName];
    if (!spec || !handlerOf(name)) {
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

  const isOver = (run: Run, now: number) => run.ended !== undefined && now - run.ended > run.keepMs;
  function prune(now: number): void {
    if (runs.size <= KEEP_MAX && Math.abs(now - pruned) < PRUNE_MS) return;
    pruned = now;
    for (const [id, run] of runs)
      if (isOver(run, now) || (run.ended !== undefined && runs.size > KEEP_MAX)) runs.delete(id);
  }

  /** Refused before anything begins, and so not remembered: the same id may be asked again. */
  function admit(name: string, envelope: Command): unknown {
    const late = envelope.deadline === undefined ? 0 : Date.now() - envelope.deadline;
    if (late > CLOCKS_DIFFER_MS)
      throw new VsError(
        'deadline',
        `${name} came ${Math.round(late / 1000)} s past its deadline and was not carried out; if nothing was slow, compare the clocks of the two hosts`,
        { details: { now: Date.now() } },
      );
    return parseArgs(name, envelope.args);
  }

  async function carryOut(name: string, args: unknown, id: string, run: Run): Promise<Reply> {
    const { signal } = run.abort;
    try {
      const progress = (data: Record<string, unknown>) => {
        for (const listener of run.listeners.values()) listener(data);
      };
      const data = await handlerOf(name)?.(args, { id, issuer: run.issuer, signal, progress });
      return { id, ok: true, data: data ?? {} };
    } catch (error) {
      // what the runtime throws at an abort is no fault of ours
      const told = signal.aborted && !(error instanceof VsError) ? (signal.reason as unknown) : error;
      return refuse(name, id, told);
    } finally {
      run.ended = Date.now();
      run.listeners.clear();
    }
  }
  function refuse(name: string, id: string, error: unknown): Reply {
    onFault(error, name);
    return { id, ok: false, error: toReplyError(error) };
  }

  return {
    /** Throws VsError 'refused' for a command that nobody may send: this process asks it of itself. */
    refuseInner(name: string): void {
      if (!table[name] && (inner as Table)[name])
        throw new VsError('refused', `${name} is not for others here: the master asks it of itself`);
    },
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
      const now = Date.now();
      prune(now);
      const key = `${name} ${id}`;
      const known = runs.get(key);
      if (known && !isOver(known, now)) {
        if (onProgress && known.ended === undefined)
          known.listeners.set(envelope.replyTo ?? onProgress, onProgress);
        return known.result;
      }
      let args: unknown;
      try {
        args = admit(name, envelope);
      } catch (error) {
        return refuse(name, id, error);
      }
      const run: Run = {
        result: Promise.resolve({ id, progress: {} }),
        listeners: new Map(onProgress ? [[envelope.replyTo ?? onProgress, onProgress]] : []),
        abort: new AbortController(),
        issuer: envelope.issuer ?? 'unknown',
        keepMs: envelope.args['saga'] === undefined ? KEEP_MS : KEEP_SAGA_MS,
      };
      runs.set(key, run);
      run.result = carryOut(name, args, id, run);
      return run.result;
    },
    /**
     * Asks the work of an id to end, for its issuer only. True: it was told. The issuer is what the caller says of
     * itself: it keeps people from hitting the work of others by mistake, who may send commands is the broker's matter.
     */
    cancel(name: string, id: string, issuer = 'unknown'): boolean {
      const run = runs.get(`${name} ${id}`);
      if (!run || run.ended !== undefined || run.abort.signal.aborted) return false;
      if (run.issuer !== issuer)
        throw new VsError('refused', `${name} was asked for by ${run.issuer}; ${issuer} cannot cancel it`);
      run.abort.abort(new VsError('failed', `${name} was given up by ${issuer}`));
      return true;
    },
    /** Asks everything that runs to end (the process stops). */
    abortAll(): void {
      for (const [key, run] of runs)
        if (run.ended === undefined)
          run.abort.abort(new VsError('failed', `${key.split(' ')[0]} was ended: the service stops`));
    },
  };
}
export type Dispatcher = ReturnType<typeof createDispatcher>;
