import type { Command } from 'commander';
import { type Classic, classics } from '../../cli/classic/table.ts';

/** Text as troff has it: no line of it is taken for a request, and a hyphen stays one. */
export const troff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');

const header = (name: string, section: number, version: string): string =>
  `.TH ${troff(name.toUpperCase())} ${section} "" "vs\\-tools ${troff(version)}" "vs\\-tools"\n`;
const preformatted = (text: string): string => `.nf\n${troff(text.trim())}\n.fi\n`;

/** What a command says in its help behind the options: examples, and what else there is to know. */
export function textAfter(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (more) => (text += more), getOutHelpWidth: () => 78 });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}

/** A term and what it means. */
const item = (term: string, meaning: string): string => `.TP\n.B ${troff(term)}\n${troff(meaning)}\n`;

/** One command: how it is called, its arguments, options and examples, and the same of those below it. */
function bodyOf(command: Command, words: string, top: boolean): string {
  const help = command.createHelp();
  const heading = (text: string) => (top ? `.SH ${text}\n` : `.P\n.B ${text}\n.P\n`);
  const parts: string[] = [];
  const usage = troff(`${words} ${command.usage()}`.trim());
  parts.push(top ? `.SH SYNOPSIS\n.B ${usage}\n` : `.SS ${usage}\n${troff(command.description())}\n`);
  if (top) parts.push(`.SH DESCRIPTION\n${troff(command.description())}\n`);
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help');
  if (command.registeredArguments.length > 0 || options.length > 0) parts.push(heading('OPTIONS'));
  for (const one of command.registeredArguments)
    parts.push(item(`<${one.name()}>`, help.argumentDescription(one) || one.name()));
  for (const one of options) parts.push(item(one.flags, help.optionDescription(one)));
  const after = textAfter(command);
  if (after) parts.push(heading('NOTES'), preformatted(after));
  const below = command.commands.filter((one) => one.name() !== 'help');
  if (below.length > 0 && top) parts.push('.SH COMMANDS\n');
  for (const one of below) parts.push(bodyOf(one, `${words} ${one.name()}`, false));
  return parts.join('');
}

const files = `.SH FILES
${item('/etc/vs-tools', 'settings, with comments')}${item('/var/lib/vservers', 'the vservers of a host')}${item('/var/lib/vs-tools', 'keys, journals and who owns what')}${item('/usr/share/doc/vs-tools/docs', 'the documentation: operations.md, install.md, networking.md and others')}`;

/** The page of a verb, `vs-VERB(8)`. */
export const verbPage = (command: Command, version: string): string =>
  header(`vs-${command.name()}`, 8, version) +
  `.SH NAME\nvs\\-${troff(command.name())} \\- ${troff(command.description())}\n` +
  bodyOf(command, `vs ${command.name()}`, true) +
  classicNote(`vs-${command.name()}`) +
  files +
  `.SH SEE ALSO\n.BR vs (1)\n`;

/** Where a name of 2007 is also the page of a verb. */
function classicNote(name: string): string {
  const classic = classics[name];
  if (!classic) return '';
  return `.SH CLASSIC\nThe command\n.B ${troff(name)}\nis the one of 2007, with its flags:\n${flagsOf(classic)}`;
}
const flagsOf = ({ flags }: Classic): string =>
  Object.entries(flags)
    .map(([flag, { kind, help }]) =>
      item(`--${flag}${kind === 'text' ? ' V' : kind === 'maybe' ? ' [V]' : ''}`, help),
    )
    .join('');

/** The page of a name of 2007 that no verb has. */
export const classicPage = (name: string, classic: Classic, version: string): string =>
  header(name, 8, version) +
  `.SH NAME\n${troff(name)} \\- ${troff(classic.summary)}\n` +
  `.SH SYNOPSIS\n.B ${troff(name)}\n[FLAGS]\n` +
  `.SH DESCRIPTION\nA command of 2007, which does what the commands of today do.\n.SH OPTIONS\n${flagsOf(classic)}` +
  files +
  `.SH SEE ALSO\n.BR vs (1)\n`;

/** The page of `vs` itself. `notes`: what its help says behind the verbs. */
export const mainPage = (
  verbs: Record<string, { summary: string }>,
  { version, notes }: { version: string; notes: string },
): string =>
  header('vs', 1, version) +
  `.SH NAME\nvs \\- manage a pool of hosts and their vservers\n` +
  `.SH SYNOPSIS\n.B vs\n.I VERB\n[options] [arguments]\n` +
  `.SH DESCRIPTION\n.B vs\nmanages a pool of Debian hosts and their vservers (system containers) from one master. Each verb has a page of its own, such as\n.BR vs\\-move (8),\nand\n.BR "vs VERB \\-\\-help" .\n` +
  `.SH VERBS\n${Object.entries(verbs)
    .map(([verb, { summary }]) => item(verb, summary))
    .join('')}` +
  `.SH NOTES\n${preformatted(notes)}` +
  files +
  `.SH SEE ALSO\n${Object.keys(verbs)
    .map((verb) => `.BR vs\\-${troff(verb)} (8)`)
    .join(',\n')}\n`;
