import { z } from 'zod';
import { VsError } from './errors.ts';

type Loose = Record<string, unknown>;
/** Makes of a value of one format the same in the next one; the number of the format is set by who calls it. */
export type Step = (value: Loose) => Loose;

const steps = new WeakMap<z.ZodType, Record<number, Step>>();

/** A schema of files, and for each older format (its number) the step to the next: what was written by it is read as of today. */
export function withSteps<T extends z.ZodType>(schema: T, from: Record<number, Step>): T {
  steps.set(schema, from);
  return schema;
}

/** The format that a schema knows: its `version: z.literal(N)`; undefined when its files have none. */
export function formatOf(schema: z.ZodType): number | undefined {
  const version =
    schema instanceof z.ZodObject ? (schema.shape as Record<string, unknown>)['version'] : undefined;
  const [only, more] = version instanceof z.ZodLiteral ? [...version.values] : [];
  return typeof only === 'number' && more === undefined ? only : undefined;
}

/**
 * What a file says, in the format of today. Throws VsError 'refused' when a newer vs-tools wrote it: to guess what it means
 * could lose what it says. What has no format, or one that no step is for, is left as it is: its schema judges.
 */
export function upgrade(path: string, value: unknown, schema: z.ZodType): unknown {
  const known = formatOf(schema);
  if (known === undefined || typeof value !== 'object' || value === null || Array.isArray(value))
    return value;
  let now: Loose = value as Loose;
  const version = now['version'];
  if (typeof version !== 'number' || !Number.isInteger(version)) return value;
  if (version > known)
    throw new VsError(
      'refused',
      `${path} has format ${version}, and this vs-tools knows formats up to ${known}: a newer one wrote it. Install that one again, or put back a copy of the file of before`,
    );
  for (let at = version; at < known; at++) {
    const step = steps.get(schema)?.[at];
    if (!step) return value;
    now = { ...step(now), version: at + 1 };
  }
  return now;
}
