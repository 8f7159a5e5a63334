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
