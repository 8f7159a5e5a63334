import { z } from 'zod';
import { named } from './named.ts';
import { hostName } from './names.ts';

/** What JSON can hold. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonSchema = { [key: string]: Json };

export function registry() {
  const made = z.registry<{ id: string; description?: string }>();
  for (const [key, { schema, description }] of Object.entries(named))
    made.add(schema, { id: key, description });
  return made;
}

export const isObject = (value: Json | undefined): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Formats of zod that JSON Schema does not know, in words; their pattern stays. */
const foreign = new Map([
  ['base64', 'base64'],
  ['cidrv4', 'an IPv4 network such as 10.60.10.0/24'],
  ['cidrv6', 'an IPv6 network such as fd60:10::/64'],
]);

/** Without what says nothing: bounds of every whole number, keys that are strings anyway, lists of one. */
export function plain(value: Json): Json {
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  const { allOf } = value;
  const only = Array.isArray(allOf) && allOf.length === 1 ? allOf[0] : undefined;
  if (Object.keys(value).length === 1 && isObject(only)) return plain(only);
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, one]) =>
          !((key === 'minimum' || key === 'maximum') && Math.abs(Number(one)) === Number.MAX_SAFE_INTEGER) &&
          !(key === 'propertyNames' && JSON.stringify(one) === '{"type":"string"}') &&
          !(key === 'additionalProperties' && JSON.stringify(one) === '{}'),
      )
      .map(([key, one]) => {
        const told = key === 'format' && typeof one === 'string' ? foreign.get(one) : undefined;
        return told ? ['description', told] : [key, plain(one)];
      }),
  );
}

/** `io`: what a sender may leave out is optional, and what it adds is no fault (states are tolerant); or what comes. */
export const options = (made: ReturnType<typeof registry>, io: 'input' | 'output' = 'input') => ({
  io,
  metadata: made,
  override: ({ zodSchema, jsonSchema }: { zodSchema: unknown; jsonSchema: object }) => {
    // A rule in code cannot be told in JSON Schema; this one can be told otherwise.
    if (zodSchema !== hostName) return;
    for (const key of Object.keys(jsonSchema)) delete (jsonSchema as JsonSchema)[key];
    Object.assign(jsonSchema, {
      type: 'string',
      maxLength: 32,
      pattern: '^(?!master$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$',
    });
  },
});
