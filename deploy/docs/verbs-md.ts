import type { Command } from 'commander';
import { textAfter } from '../package/man.ts';

/** A cell of a table: a bar would end it, and what stands in angle brackets would be taken for HTML. */
const cell = (text: string): string =>
  text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``;
const anchor = (words: string): string => words.replaceAll(/[^a-z0-9 -]/g, '').replaceAll(' ', '-');

function options(command: Command): string[] {
  const help = command.createHelp();
  const rows = [
    ...command.registeredArguments.map((one) => [`<${one.name()}>`, help.argumentDescription(one)] as const),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .map((one) => [one.flags, help.optionDescription(one)] as const),
  ];
  if (rows.length === 0) return [];
  return ['| | |', '|---|---|', ...rows.map(([what, means]) => `| ${code(what)} | ${cell(means)} |`), ''];
}

function section(command: Command, words: string, depth: number): string[] {
  const below = command.commands.filter((one) => one.name() !== 'help');
  const after = textAfter(command);
  return [
    `${'#'.repeat(depth)} ${words}`,
    '',
    `${code(`${words} ${command.usage()}`.trim())}: ${cell(command.description())}`,
    '',
    ...options(command),
    ...(after ? ['```text', after, '```', ''] : []),
    ...below.flatMap((one) => section(one, `${words} ${one.name()}`, Math.min(depth + 1, 4))),
  ];
}

/** docs/verbs.md: each verb with all below it, as its help says. */
export function verbsMarkdown(program: Command, summaries: Record<string, { summary: string }>): string {
  const commands = program.commands.filter((one) => one.name() !== 'help');
  return [
    '# Every verb',
    '',
    'Made by `node deploy/docs.ts` from the help of the verbs; changes here are lost. What belongs together, and why, stands in [operations.md](operations.md). Each level also answers `--help`,',
    'and the package has a manual page of each verb (`man vs-move`). On a host `--local`, anywhere before `--`, asks its own agent instead of the broker.',
    '',
    '| verb | |',
    '|---|---|',
    ...commands.map((one) => {
      const words = `vs ${one.name()}`;
      return `| [${code(words)}](#${anchor(words)}) | ${cell(summaries[one.name()]?.summary ?? one.description())} |`;
    }),
    '',
    ...commands.flatMap((one) => section(one, `vs ${one.name()}`, 2)),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}
