import { z } from 'zod';
import { command, reply } from '../../shared/contract/command.ts';
import { type CommandName, commands } from '../../shared/contract/commands.ts';
import {
  type Json,
  type JsonSchema,
  isObject,
  options,
  plain,
  registry,
} from '../../shared/contract/json-schema.ts';
import { id } from '../../shared/contract/names.ts';

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
