import { outputs } from '../../cli/outputs.ts';
import { namesIn, shapeOf } from '../../cli/shape.ts';

/** docs/json.md: what `--json` of each verb prints. */
export function jsonMarkdown(): string {
  const names = new Map<string, string>();
  const rows = Object.entries(outputs).map(([verb, { schema, lines, note }]) => {
    for (const [key, text] of namesIn(schema)) names.set(key, text);
    const shape = shapeOf(schema).replaceAll('|', String.raw`\|`);
    const many = lines ? 'one a line: ' : '';
    return `| \`${verb}\` | ${many}\`${shape}\`${note ? `; ${note}` : ''} |`;
  });
  const words = [...names]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([key, text]) => `| ${key} | \`${text.replaceAll('|', String.raw`\|`)}\` |`);
  return `<!-- Made by node deploy/contract.ts from cli/outputs.ts; changes here are lost. -->
# What --json prints

Of every verb that knows it: one JSON text on the standard output, or one object a line where it says so. Errors are one sentence on the standard error, and an exit code
([operations](operations.md)); nothing but JSON goes to the standard output then. A key may be added at any time, one that is here stays; a key with \`?\` may be missing. Times are milliseconds since 1970, sizes bytes.
\`vs call\` prints the answer of its command as it is: \`vs call --list --json\` has the JSON Schemas of all of them, [topics.md](topics.md) explains the named ones.

| verb | \`--json\` |
|---|---|
${rows.join('\n')}

| name | what it is |
|---|---|
${words.join('\n')}
`;
}
