import { argsForAudit } from '../shared/args-for-audit.ts';
import { parseJson } from '../shared/json.ts';

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
