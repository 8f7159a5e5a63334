import type { Json } from '../../shared/contract/json-schema.ts';

/** Words that a reader of YAML 1.1 or 1.2 takes for something else than a string. */
const special = /^(true|false|null|yes|no|on|off|y|n|nan|inf)$/i;

function scalar(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  const plain = /^[A-Za-z][A-Za-z0-9_./ ()-]*$/.test(value) && !value.endsWith(' ') && !special.test(value);
  return plain ? value : JSON.stringify(value); // a JSON string is a YAML string
}

/** YAML in block style, two spaces deep; strings that could be read otherwise stand in double quotes. */
export function toYaml(value: Json, indent = ''): string {
  if (value === null || typeof value !== 'object') return `${indent}${scalar(value)}\n`;
  const entries = Array.isArray(value)
    ? value.map((one) => ['-', one] as const)
    : Object.entries(value).map(([key, one]) => [`${scalar(key)}:`, one] as const);
  if (entries.length === 0) return `${indent}${Array.isArray(value) ? '[]' : '{}'}\n`;
  return entries
    .map(([lead, one]) => {
      const scalarLike = one === null || typeof one !== 'object' || Object.keys(one).length === 0;
      if (scalarLike) return `${indent}${lead} ${toYaml(one)}`;
      // A map or list in a list begins on the line of its dash.
      if (lead === '-') return `${indent}- ${toYaml(one, `${indent}  `).trimStart()}`;
      return `${indent}${lead}\n${toYaml(one, `${indent}  `)}`;
    })
    .join('');
}
