import type { ErrorCode } from '../shared/contract/command.ts';
import { VsError } from '../shared/errors.ts';

const codes: Record<ErrorCode, number> = {
  usage: 2,
  'not-found': 1,
  conflict: 1,
  refused: 1,
  failed: 1,
  internal: 1,
  stuck: 3,
  deadline: 4,
  unavailable: 4,
};

/** The exit code of an error code (docs/operations.md). */
export const exitCodeOf = (code: string): number => codes[code as ErrorCode] ?? 1;

/** What is printed for anything thrown, and the exit code: a sentence, never a stack trace. */
export function describeFailure(error: unknown): { text: string; code: number } {
  if (error instanceof VsError) return { text: error.message, code: exitCodeOf(error.code) };
  const commander = error as { code?: unknown; exitCode?: unknown; message?: unknown };
  if (typeof commander.code === 'string' && commander.code.startsWith('commander.')) {
    return { text: '', code: commander.exitCode === 0 ? 0 : 2 }; // commander has printed it
  }
  const reason = error instanceof Error ? error.message : String(error);
  return { text: `A fault inside vs-tools: ${reason}`, code: 1 };
}
