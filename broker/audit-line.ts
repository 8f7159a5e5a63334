import { parseJson } from '../shared/json.ts';
const SECRET = /^(secret|password|stdin|token|script|postInstall)$/i;
const MOST = 2048;
const bytesOf = (text: string): number => Buffer.byteLength(text);

/** A copy without what nobody else may know, whatever its depth. */
function blank(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 8) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, 200).map((one) => blank(one, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 200)
      .map(([key, one]) => [key, SECRET.test(key) ? '[hidden]' : blank(one, depth + 1)]),
  );
}

/** The arguments of a command as they may stand in a file: secrets blanked, at most 2 kB. */
export function argsForAudit(args: unknown): Record<string, unknown> {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return {};
  const blanked = blank(args) as Record<string, unknown>;
  const text = JSON.stringify(blanked);
  if (bytesOf(text) <= MOST) return blanked;
  return { cut: Buffer.from(text).subarray(0, 900).toString() }; // quotes in it double
}

const cut = (text: string, length: number): string => (text.length > length ? text.slice(0, length) : text);
const stringOf = (value: unknown, length: number): string | undefined =>
  typeof value === 'string' ? cut(value, length) : undefined;

/** What a message on a command topic says. */
export function readCommand(payload: string) {
  const body = parse(payload);
  if (!body) return { args: {} };
  const args = body['cancel'] === true ? { cancel: true } : argsForAudit(body['args']);
  return { id: stringOf(body['id'], 64), replyTo: stringOf(body['replyTo'], 200), args };
}

/** How a command ended, if this message says so. */
export function readResult(payload: string) {
  if (!payload.includes('"ok"')) return undefined; // a word about its progress
  const body = parse(payload);
  if (typeof body?.['ok'] !== 'boolean') return undefined;
  const id = stringOf(body['id'], 64) ?? '';
  if (body['ok']) return { id, result: 'ok' };
  const error = (body['error'] ?? {}) as Record<string, unknown>;
  return {
    id,
    result: stringOf(error['code'], 40) ?? 'failed',
    message: stringOf(error['message'], 300) ?? '',
  };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value = parseJson(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
