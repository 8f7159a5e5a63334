import { z } from 'zod';
import {
  type Json,
  type JsonSchema as Schema,
  options,
  plain,
  registry,
} from '../shared/contract/json-schema.ts';

/** A schema as JSON Schema (draft 2020-12), with all that it refers to in `$defs`; `io`: of what is sent, or of what comes. */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output' = 'output'): Schema {
  const { $schema: _, ...rest } = plain(z.toJSONSchema(schema, options(registry(), io)) as Json) as Schema;
  return rest;
}

/** An object whose keys are not known before. */
function mapText({ additionalProperties: rest }: Schema): string {
  const values =
    rest && typeof rest === 'object' && Object.keys(rest).length > 0 ? text(rest as Schema) : 'any';
  return `{[key]: ${values}}`;
}
function objectText(schema: Schema): string {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, Schema>;
    required?: string[];
  };
  const parts = Object.entries(properties).map(
    ([key, one]) => `${key}${required.includes(key) ? '' : '?'}: ${text(one)}`,
  );
  if (!schema['properties']) return mapText(schema);
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`;
}
function text(schema: Schema): string {
  const { $ref, const: only, enum: words, type, items } = schema;
  const either = (schema['anyOf'] ?? schema['oneOf']) as Schema[] | undefined;
  if (typeof $ref === 'string') return $ref.split('/').at(-1) ?? '';
  if (only !== undefined) return JSON.stringify(only);
  if (Array.isArray(words)) return words.map((word) => JSON.stringify(word)).join(' | ');
  if (either) return [...new Set(either.map(text))].join(' | ');
  if (type === 'array') {
    const one = items ? text(items as Schema) : 'any';
    return one.includes(' | ') ? `(${one})[]` : `${one}[]`;
  }
  if (type === 'object') return objectText(schema);
  const all = schema['allOf'] as Schema[] | undefined;
  if (all) return all.map(text).join(' & ');
  if (Array.isArray(type)) return (type as string[]).join(' | '); // nullable: two types
  return typeof type === 'string' ? type : 'any';
}

/** A schema in one line for people: `{ name: Name, saga?: Id }`. Names with a capital are those of docs/topics.md. */
export const shapeOf = (schema: z.ZodType, io: 'input' | 'output' = 'output'): string =>
  text(jsonSchemaOf(schema, io));

/** The named schemas that a schema refers to, by name, each in one line. */
export function namesIn(schema: z.ZodType): Map<string, string> {
  const { $defs = {} } = jsonSchemaOf(schema) as { $defs?: Record<string, Schema> };
  return new Map(Object.entries($defs).map(([key, one]) => [key, text(one)]));
}
