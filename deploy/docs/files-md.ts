import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { settingsSchema } from '../../config/settings.ts';

type Shape = { type?: string; enum?: string[]; minimum?: number; maximum?: number; anyOf?: Shape[] };
/** These come from the machine; what they are here says nothing of others. */
const ofMachine: Record<string, string> = {
  HOST: 'the name of the machine',
  MANAGEMENT_ADDRESS: 'its first address',
  TEMPLATE_UBUNTU_MIRROR: "Ubuntu's, for this processor",
};
const samples: [file: string, on: string, what: string, told: string][] = [
  ['networks.conf', 'master; hosts until the first `vs net apply`', 'the networks', 'networking.md'],
  ['slaves.conf', 'master', 'what is special about a host', 'copying.md'],
  ['create.conf', 'master', 'defaults of `vs create`', 'templates.md'],
  [
    'firewall.conf',
    'hosts',
    'the rules that a new vserver gets; its own lie in its directory',
    'firewall-syntax.md',
  ],
  ['sets.conf', 'hosts', 'named sets of addresses for rules', 'firewall-syntax.md'],
  [
    'monitor.conf',
    'hosts',
    'what is watched of a new vserver; its own lies in its directory',
    'monitoring.md',
  ],
  ['host-monitor.conf', 'hosts', 'what is watched of the host', 'monitoring.md'],
  ['backup.conf', 'master', 'when what is backed up, and how long it is kept', 'backup-schedule.md'],
  ['repositories.conf', 'master', 'where backups lie', 'backups.md'],
  ['alerts.conf', 'master', 'who is told of alerts', 'alerts.md'],
];

/** What a value may be, in words. */
function expected(schema: z.ZodType): string {
  const of = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }) as Shape;
  const one = of.anyOf?.find((shape) => shape.type !== undefined && !('const' in shape)) ?? of;
  if (one.enum) return one.enum.join(', ');
  if (one.type !== 'number' && one.type !== 'integer') return 'text';
  const { minimum, maximum } = one;
  const most = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? '' : ` to ${maximum}`;
  const kind = one.type === 'integer' ? 'whole number' : 'number';
  return minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER
    ? kind
    : `${kind}, ${minimum}${most || ' or more'}`;
}

/** The page that tells most of a key: the one with a table that begins a row with it, else the first that names it. */
function pageOf(key: string, pages: Map<string, string>): string | undefined {
  const row = new RegExp(`^\\|[^|]*\`${key}\``, 'm');
  const named = new RegExp(`\\b${key}\\b`);
  return [row, named].flatMap((pattern) =>
    [...pages].filter(([, text]) => pattern.test(text)).map(([page]) => page),
  )[0];
}

/** docs/files.md: every key of vs-tools.conf from its schema, every other file by its sample. `root`: the project. */
export function filesMarkdown(root: string): string {
  const made = new Set(['files.md', 'saga-diagrams.md', 'verbs.md', 'topics.md', 'json.md']);
  const pages = new Map(
    readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md') && !made.has(name))
      .toSorted()
      .map((name) => [name, readFileSync(join(root, 'docs', name), 'utf8')]),
  );
  const rows = Object.entries(settingsSchema.shape).map(([key, schema]) => {
    const value = ofMachine[key] === undefined ? schema.safeParse(undefined).data : undefined;
    const text = Array.isArray(value) ? value.join(' ') : String(value ?? '');
    const standard = ofMachine[key] ?? (text === '' ? '' : `\`${text}\``);
    const page = pageOf(key, pages);
    return `| \`${key}\` | ${standard} | ${expected(schema)} | ${page ? `[${page}](${page})` : ''} |`;
  });
  return [
    '# Every file of settings',
    '',
    'Made by `node deploy/docs.ts` from the schemas and the samples; changes here are lost. All of them lie in `/etc/vs-tools`. A file with a fault changes nothing: the fault is named by file, line and column.',
    '',
    '## vs-tools.conf',
    '',
    '`KEY=value`, on every machine; `#` begins a comment. Each key also as `VS_KEY` in the environment, which wins. Services read it when they start. A key that nobody knows is a fault.',
    '',
    '| key | default | value | told in |',
    '|---|---|---|---|',
    ...rows,
    '',
    ...samples.flatMap(([file, on, what, told]) => [
      `## ${file}`,
      '',
      `On: ${on}. What it says: ${what}. More: [${told}](${told}).`,
      '',
      '```text',
      readFileSync(join(root, 'config/samples', file), 'utf8').trimEnd(),
      '```',
      '',
    ]),
    '## Written by the programs',
    '',
    '`broker-users.json` (who may speak to the broker; `vs user`) and what lies in `/var/lib/vs-tools` is not for an editor: [operations.md](operations.md) names it, [upgrade.md](upgrade.md) tells its versions.',
    '',
  ].join('\n');
}
