import type { ErrorCode } from './contract/command.ts';

/** An error for the person who reads it: a whole sentence; `cause` is for the log. */
export class VsError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Record<string, unknown> | undefined;
  constructor(
    code: ErrorCode,
    message: string,
    options: { retryable?: boolean; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'VsError';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details;
  }
}
