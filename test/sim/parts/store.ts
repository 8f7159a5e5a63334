// shared/store.ts, as the simulated processes see it: the same text is parsed by the same schema once
import type { z } from 'zod';
import { readJson as read } from '../../../shared/store.ts';
import { readFile } from '../os/fs-promises.ts';

export * from '../../../shared/store.ts';

const MOST = 2000;
const known = new Map<z.ZodType, Map<string, unknown>>();

export async function readJson<T extends z.ZodType>(
  path: string,
  schema: T,
): Promise<z.infer<T> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  let texts = known.get(schema);
  if (!texts) known.set(schema, (texts = new Map<string, unknown>()));
  if (!texts.has(text)) {
    if (texts.size > MOST) texts.clear();
    try {
      texts.set(text, schema.parse(JSON.parse(text)));
    } catch {
      return read(path, schema); // what is damaged is told in its own words
    }
  }
  return structuredClone(texts.get(text)) as z.infer<T> | undefined;
}
