import { Command } from 'commander';
import { classics } from '../../cli/classic/table.ts';
import { verbs } from '../../cli/main.ts';
import {
  bashCompletion,
  candidatesAt,
  candidatesScript,
  fishCompletion,
  zshCompletion,
} from './completion.ts';
import { classicPage, mainPage, verbPage } from './man.ts';
import { wordsOf } from './words.ts';

const exits =
  'Exit codes: 0 done, 1 failed (and undone), 2 usage, 3 stuck, 4 nothing answered.\n\nNO_COLOR switches colours off. --local on the host itself asks its agent, without broker and master.';

/** The program with every verb of it loaded, in the order of the help. */
export async function wholeProgram(): Promise<Command> {
  const program = new Command('vs').enablePositionalOptions();
  for (const load of new Set(Object.values(verbs).map((one) => one.load))) (await load()).register(program);
  return program;
}

/** Manual pages and completion, by path in the package. */
export async function pages(version: string): Promise<Record<string, string>> {
  const program = await wholeProgram();
  const files: Record<string, string> = {
    'usr/share/man/man1/vs.1': mainPage(verbs, { version, notes: exits }),
    [candidatesAt]: candidatesScript(wordsOf(program)),
    'usr/share/bash-completion/completions/vs': bashCompletion,
    'usr/share/zsh/vendor-completions/_vs': zshCompletion,
    'usr/share/fish/vendor_completions.d/vs.fish': fishCompletion,
  };
  for (const command of program.commands)
    files[`usr/share/man/man8/vs-${command.name()}.8`] = verbPage(command, version);
  for (const [name, classic] of Object.entries(classics))
    files[`usr/share/man/man8/${name}.8`] ??= classicPage(name, classic, version);
  return files;
}
