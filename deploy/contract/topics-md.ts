import { channels } from '../../shared/contract/channels.ts';
import type { Channel } from '../../shared/contract/channels/channel.ts';
import { commands } from '../../shared/contract/commands.ts';
import { examples } from '../../shared/contract/examples.ts';
import { nameOf, named } from '../../shared/contract/named.ts';
import type { Json, JsonSchema } from '../../shared/contract/json-schema.ts';
import { commandNames, components } from './schemas.ts';

const schema = (value: Json | undefined): JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

const range = ({ minimum, maximum, exclusiveMinimum }: JsonSchema): string => {
  if (exclusiveMinimum !== undefined) return ` over ${String(exclusiveMinimum)}`;
  if (minimum === undefined && maximum === undefined) return '';
  if (maximum === undefined) return ` from ${String(minimum)}`;
  return ` ${String(minimum ?? '')}..${String(maximum)}`;
};

/** A schema in a few words; names of other schemas are links to their section. */
function typeText(one: JsonSchema): string {
  if (typeof one['$ref'] === 'string') {
    const name = one['$ref'].split('/').at(-1) ?? '';
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (one['const'] !== undefined) return `\`${JSON.stringify(one['const'])}\``;
  if (one['enum'])
    return list(one['enum'])
      .map((word) => `\`${String(word)}\``)
      .join(', ');
  const choice = [...list(one['anyOf']), ...list(one['oneOf']), ...list(one['allOf'])];
  if (choice.length > 0) return choice.map((part) => typeText(schema(part))).join(' or ');
  if (one['type'] === 'array') return `list of ${typeText(schema(one['items']))}`;
  if (one['type'] === 'object') {
    if (!one['properties']) {
      const inner = schema(one['additionalProperties']);
      return Object.keys(inner).length > 0 ? `object of ${typeText(inner)}` : 'object';
    }
    const parts = fields(one).map(([key, must, type]) => `${key}${must ? '' : '?'}: ${type}`);
    return parts.length > 0 ? `{ ${parts.join(', ')} }` : 'nothing';
  }
  if (one['format'] !== undefined) return String(one['format']);
  if (one['type'] === 'string' && one['description'] !== undefined) return String(one['description']);
  if (one['type'] === 'string' && one['maxLength'] !== undefined)
    return `string of at most ${String(one['maxLength'])}`;
  if (one['type'] === undefined) return 'anything';
  return `${String(one['type'])}${range(one)}`;
}

const fields = (one: JsonSchema): [key: string, must: boolean, type: string][] =>
  Object.entries(schema(one['properties'])).map(([key, value]) => [
    key,
    list(one['required']).includes(key),
    typeText(schema(value)),
  ]);

function fieldTable(head: string, one: JsonSchema): string[] {
  const rows = fields(one).map(([key, must, type]) => `| \`${key}\` | ${type}${must ? '' : ', optional'} |`);
  return rows.length > 0 ? [`| ${head} | |`, '|---|---|', ...rows] : [];
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const compact = (value: unknown) => `\`\`\`json\n${JSON.stringify(value)}\n\`\`\``;
const heard = ([key, one]: [string, Channel]): string => {
  const payload = nameOf(one.payload);
  const cells = [
    `\`${one.topic}\``,
    `${one.qos}, ${one.retained ? 'yes' : 'no'}`,
    one.publishers.join(', '),
    one.readers.join(', '),
    key.endsWith('Command') ? '[below](#commands)' : payload ? `[${payload}](#${payload.toLowerCase()})` : '',
    one.summary +
      (one.empty ? `. Empty: ${one.empty}` : '') +
      (one.reserved ? ' (nothing is published yet)' : ''),
  ];
  return `| ${cells.join(' | ')} |`;
};

function commandSections(all: Record<string, JsonSchema>): string[] {
  const lines: string[] = [];
  let service = '';
  for (const name of commandNames) {
    const [before = '', word = ''] = name.split('.');
    const spec = commands[name];
    if (before !== service)
      lines.push(`### ${before}`, `On ${spec.scope === 'host' ? 'every host' : 'the master'}.`, '');
    service = before;
    const args = schema(schema(all[`${name}.command`]?.['properties'])['args']);
    const resolved = args['$ref'] === undefined ? args : {};
    const data = schema(schema(schema(list(all[`${name}.reply`]?.['anyOf'])[0])['properties'])['data']);
    const answer = data['$ref'] === '#/components/schemas/Empty' ? 'nothing' : typeText(data);
    const table = fieldTable('argument', resolved);
    const target = spec.scope === 'host' ? 'hosts/host1' : 'master';
    lines.push(
      `#### ${name}`,
      `${sentence(spec.summary)}.`,
      '',
      ...(table.length > 0 ? [...table, ''] : ['No arguments.', '']),
      `Answer: ${answer}.`,
      '```',
      `vs/1/${target}/commands/${service}/${word} ${JSON.stringify({ args: examples[name] })}`,
      '```',
      '',
    );
  }
  return lines;
}

function typeSections(all: Record<string, JsonSchema>): string[] {
  const lines: string[] = [];
  for (const [key, { description, schema: own }] of Object.entries(named)) {
    const one = all[key] ?? {};
    const table = fieldTable('key', one);
    const { description: _, ...rest } = one;
    lines.push(`### ${key}`, `${sentence(description)}.`);
    if (table.length > 0) lines.push('', ...table);
    else if (one['pattern'] !== undefined && one['format'] === undefined)
      lines.push('', `string, \`${String(one['pattern'])}\``);
    else lines.push('', typeText(rest));
    const used = Object.values(channels).find((channel) => channel.payload === own && !channel.reserved);
    if (used) lines.push('', compact(used.example));
    lines.push('');
  }
  return lines;
}

/** docs/topics.md: the contract for people. */
export function topicsMarkdown(): string {
  const all = components();
  return `${[
    '# Topics',
    '',
    'Made by `node deploy/contract.ts` from `shared/contract/`; a test fails when it is out of date. The same for programs:',
    '[asyncapi.yaml](asyncapi.yaml) (AsyncAPI 3.0) and [schemas/](schemas) (JSON Schema 2020-12, one file per payload). On the command line:',
    '`vs topics`, `vs listen FILTER`, `vs call --list`. Samples for other programs: [integrations/](integrations/README.md).',
    '',
    'All topics stand below the base, `vs/1` unless `BASE_TOPIC` says otherwise. A message is one JSON object of at most 1 MB; times are epoch',
    'milliseconds, sizes bytes, shares percent. MQTT 3.1.1. Read with tolerance: states, events and alerts get new keys. Commands are strict.',
    '',
    '| topic | QoS, retained | published by | read by | payload | what |',
    '|---|---|---|---|---|---|',
    ...Object.entries(channels).map(heard),
    '',
    'A client id is the name of the user, or begins with it and a dash: the broker refuses others. ' +
      'An agent publishes only below its own host and reads only its own commands; `client` is the one whose MQTT client id is in the topic.',
    'Topics that anyone may subscribe to with `+` and `#` are delivered as far as the reader may read them.',
    '',
    '- `vs/1/hosts/+/vservers/web1/metrics` follows web1 wherever it runs.',
    '- During a move two hosts may have a `state` of one vserver; the one with the higher `epoch` owns it.',
    '- A metric whose name ends in `_total`, and `io_*_bytes` and `net_*_bytes`, count up from the start of the vserver; all others are of now.',
    '',
    '## Commands',
    'A command is published to its topic, QoS 1, not retained, as [Command](#command). With `replyTo` (`vs/1/hosts/{host}/replies/{client}` of the same host,',
    'with the own client id; or `vs/1/master/replies/{client}`) the answer comes there as [Reply](#reply); without it the result is an event of the service.',
    'The same `id` is carried out once, and answered again. Past its `deadline` a command is refused.',
    '',
    ...commandSections(all),
    '## Types',
    '',
    ...typeSections(all),
  ]
    .join('\n')
    .trimEnd()}\n`;
}
