import { z } from 'zod';
import { command, reply } from '../../shared/contract/command.ts';
import { type CommandName, commands } from '../../shared/contract/commands.ts';
import { named } from '../../shared/contract/named.ts';
import { hostName, id } from '../../shared/contract/names.ts';
import type { Json } from './yaml.ts';

export type JsonSchema = { [key: string]: Json };

export const commandNames = Object.keys(commands) as CommandName[];

/** The payload of one command's topic. */
export function commandPayload(name: CommandName) {
  const args: z.ZodType = commands[name].args;
  return command.extend({ args: args.safeParse({}).success ? args.optional() : args });
}
/** The payload with which one command is answered. */
export const replyPayload = (name: CommandName) =>
  z.union([
    z.object({ id, ok: z.literal(true), data: commands[name].data as z.ZodType }),
    reply.options[1],
    reply.options[2],
  ]);

function registry() {
  const made = z.registry<{ id: string; description?: string }>();
  for (const [key, { schema, description }] of Object.entries(named))
    made.add(schema, { id: key, description });
  return made;
}

const isObject = (value: Json | undefined): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Formats of zod that JSON Schema does not know, in words; their pattern stays. */
const foreign = new Map([
  ['base64', 'base64'],
  ['cidrv4', 'an IPv4 network such as 10.60.10.0/24'],
  ['cidrv6', 'an IPv6 network such as fd60:10::/64'],
]);

/** Without what says nothing: bounds of every whole number, keys that are strings anyway, lists of one. */
function plain(value: Json): Json {
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
        const told = key === 'format' ? foreign.get(String(one)) : undefined;
        return told ? ['description', told] : [key, plain(one)];
      }),
  );
}

const options = (made: ReturnType<typeof registry>) => ({
  io: 'input' as const, // what a sender may leave out is optional, and what it adds is no fault (states are tolerant)
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

/** The schemas of AsyncAPI's components (a superset of JSON Schema draft-07), by name; they refer to one another. */
export function components(): Record<string, JsonSchema> {
  const made = registry();
  for (const name of commandNames) {
    made.add(commandPayload(name), { id: `${name}.command` });
    made.add(replyPayload(name), { id: `${name}.reply` });
  }
  const { schemas } = z.toJSONSchema(made, {
    ...options(made),
    target: 'draft-7',
    uri: (key) => `#/components/schemas/${key}`,
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([key, schema]) => {
      const { $schema: _, $id: __, id: ___, ...rest } = plain(schema as Json) as JsonSchema;
      return [key, rest];
    }),
  );
}

/** One payload as a JSON Schema of its own (draft 2020-12), with all it refers to inside. */
export function standalone(schema: z.ZodType, key: string, title: string): JsonSchema {
  const made = registry();
  const whole = plain(
    z.toJSONSchema(schema, { ...options(made), target: 'draft-2020-12' }) as Json,
  ) as JsonSchema;
  const { $schema = '', $ref, $defs, ...rest } = whole;
  const definitions = { ...(isObject($defs) ? $defs : {}) };
  const own = typeof $ref === 'string' ? $ref.replace('#/$defs/', '') : '';
  const body = isObject(definitions[own]) ? definitions[own] : rest;
  delete definitions[own];
  return {
    $schema,
    $id: `urn:vs-tools:1:${key}`,
    title,
    ...body,
    ...(Object.keys(definitions).length > 0 ? { $defs: definitions } : {}),
  };
}
