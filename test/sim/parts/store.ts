// shared/store.ts, as the simulated processes see it: the same text is parsed by the same schema once
import type { z } from 'zod';
import { parseFile, readText } from '../../../shared/store.ts';

export * from '../../../shared/store.ts';

const MOST = 2000;
const known = new Map<z.ZodType, Map<string, unknown>>();

/** Whoever reads the same gets the same: nobody may change it, and who tries fails. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const one of Object.values(value)) freeze(one);
}

export async function readJson<T extends z.ZodType>(
  path: string,
  schema: T,
): Promise<z.infer<T> | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  let texts = known.get(schema);
  if (!texts) known.set(schema, (texts = new Map<string, unknown>()));
  let value = texts.get(text);
  if (value === undefined) {
    if (texts.size > MOST) texts.clear();
    value = parseFile(path, text, schema);
    freeze(value);
    texts.set(text, value);
  }
  return value as z.infer<T>;
}

export const rereader =
  <T extends z.ZodType>(schema: T) =>
  (path: string): Promise<z.infer<T> | undefined> =>
    readJson(path, schema);
