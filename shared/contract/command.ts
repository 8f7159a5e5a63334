import { z } from 'zod';
import { empty, id } from './names.ts';

/** What may be wrong with a command; the CLI turns it into its exit code (docs/operations.md). */
export const errorCode = z.enum([
  'usage', // the form of a name, flag or argument: exit 2
  'not-found', // exit 1
  'conflict', // exists already, is locked, has an older epoch: exit 1
  'refused', // a rule forbids it: exit 1
  'failed', // a tool or step failed: exit 1
  'stuck', // a saga stands past its point of no return: exit 3
  'deadline', // came too late, or took too long: exit 4
  'unavailable', // nothing answered: exit 4
  'internal', // a fault of vs-tools: exit 1
]);
export type ErrorCode = z.infer<typeof errorCode>;

/**
 * Hosts may differ so much in their clocks. A deadline is the sender's clock, so a command is refused only when it comes
 * later than this past it; what comes within, for a caller that gave up, is ended by the cancel that follows it.
 */
export const CLOCKS_DIFFER_MS = 60_000;

/** The payload of a command topic: strict, and bounded by the broker's packet limit of 1 MB. */
export const command = z.strictObject({
  id: id.optional(),
  replyTo: z.string().max(200).optional(),
  issuer: z.string().max(64).optional(),
  /** When the caller stops waiting, by its own clock: refused after that and CLOCKS_DIFFER_MS. */
  deadline: z.int().min(0).optional(),
  args: z.record(z.string(), z.unknown()).default({}),
});
export type Command = z.infer<typeof command>;

/**
 * On the topic of a command: the caller with this id gave up, so what still runs shall end. Only who issued it may say
 * so. There is no reply to it: the command itself is answered, as failed or, if it ended before, as it ended. Work that
 * cannot be interrupted goes on to its end.
 */
export const cancel = z.strictObject({ id, cancel: z.literal(true), issuer: z.string().max(64).optional() });
export type Cancel = z.infer<typeof cancel>;

export const replyError = z.object({
  code: errorCode,
  message: z.string(),
  retryable: z.boolean(),
  details: z.record(z.string(), z.unknown()).optional(),
});
/** A reply: any number of progress messages, then exactly one with `ok`. */
export const reply = z.union([
  z.object({ id, ok: z.literal(true), data: z.unknown() }),
  z.object({ id, ok: z.literal(false), error: replyError }),
  z.object({ id, progress: z.record(z.string(), z.unknown()) }),
]);
export type Reply = z.infer<typeof reply>;

/** One command of a service: its arguments, its answer, and one sentence for `vs call --list`. */
export interface CommandSpec {
  summary: string;
  scope: 'host' | 'master';
  args: z.ZodType;
  data: z.ZodType;
}

/** A command of a service on every host. */
export function hostCommand<A extends z.ZodType, D extends z.ZodType = typeof empty>(
  summary: string,
  args: A,
  data?: D,
) {
  return { scope: 'host' as const, summary, args, data: data ?? (empty as unknown as D) };
}
/** A command of a service on the master. */
export function masterCommand<A extends z.ZodType, D extends z.ZodType = typeof empty>(
  summary: string,
  args: A,
  data?: D,
) {
  return { scope: 'master' as const, summary, args, data: data ?? (empty as unknown as D) };
}
