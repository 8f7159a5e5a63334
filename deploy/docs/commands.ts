import { type Command, Option } from 'commander';

/** A command line of `vs` in a text: a whole one of a block, or a mention within a sentence, which may leave out what it takes. */
export interface Found {
  /** From 1. */
  line: number;
  text: string;
  whole: boolean;
}

/** Words of a shell line: quotes hold words together; a comment, a pipe, `;`, `&` and a redirection end it. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  const pattern = /\s*(?:([;|&)]|\d*[<>])|(#.*)|((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\;|&<>)])+))/y;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [, stop, comment, word] = match;
    if (stop !== undefined || comment !== undefined) break;
    words.push((word ?? '').replaceAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g, '$1$2$3'));
  }
  return words;
}

const start = /(?:^|[|;&(]|\$\(|\$ |# )\s*(?:sudo )?(?:\.\/)?vs (?=[a-z])/g;

/** The lines of a block that a person types: all of them, or those behind a prompt where it shows what is printed, too. */
function typed(block: { line: number; text: string }[]): { line: number; text: string }[] {
  const prompted = block.filter(({ text }) => /^\s*\$ /.test(text));
  return prompted.length > 0 ? prompted : block;
}

/** Every command line of `vs` in Markdown: in blocks each `vs ...` at a beginning (also behind `$`, a pipe or `;`), else in code within text. */
export function commandsIn(markdown: string): Found[] {
  const found: Found[] = [];
  let fence: string | undefined;
  let block: { line: number; text: string }[] = [];
  for (const [index, text] of markdown.split('\n').entries()) {
    const line = index + 1;
    const mark = /^\s*```+(\w*)/.exec(text);
    if (mark && fence === undefined) [fence, block] = [mark[1] ?? '', []];
    else if (mark) {
      const isShell = ['', 'sh', 'bash'].includes(fence ?? '');
      for (const one of isShell ? typed(block) : [])
        for (const match of one.text.matchAll(start)) {
          const rest = one.text.slice(match.index + match[0].length);
          // "vs lab up [--name L]", "a|b" and "..." are how a line may look, and no line
          found.push({ line: one.line, text: rest, whole: !/[[\]…]|\.\.\.|\w\|\w/.test(rest) });
        }
      fence = undefined;
    } else if (fence !== undefined) block.push({ line, text });
    else
      for (const [, inner = ''] of text.matchAll(/`(?:\.\/)?vs ([a-z][^`]*)`/g))
        found.push({ line, text: inner, whole: false });
  }
  return found;
}

const optionOf = (command: Command, word: string): Option | undefined =>
  command.options.find((one) => one.short === word || one.long === word);

/** What is wrong with a command line by the verbs of a program; undefined: nothing. */
export function fault(program: Command, { text, whole }: Pick<Found, 'text' | 'whole'>): string | undefined {
  const bare = whole ? text : text.replaceAll(/\[(?:options|command)\]|[[\]]/g, ' ');
  const words = shellWords(bare);
  let command = program;
  while (words[0] !== undefined) {
    const [next = ''] = words;
    const below = command.commands.find(
      (one) => one.name() === next.replace(/,$/, '') || one.aliases().includes(next),
    );
    if (!below) break;
    command = below;
    words.shift();
    if (next.endsWith(',')) return undefined; // "vs start, stop, enable"
  }
  if (command === program) return `there is no verb ${words[0]}`;
  const path = pathOf(command);
  if (command.commands.length > 0 && words[0] !== undefined && !words[0].startsWith('-'))
    if (command.registeredArguments.length === 0)
      return /^[a-z-]+$/.test(words[0]) ? `${path} has no ${words[0]}` : undefined;
  let given = 0;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') {
      given += words.length - at - 1;
      break;
    }
    if (!/^-{1,2}[a-zA-Z]/.test(word)) {
      given++;
      continue;
    }
    const [name = '', value] = word.split('=', 2);
    if (['--help', '-h', '--local'].includes(name)) return undefined;
    const option = optionOf(command, name.replace(/[,.|].*$/, ''));
    if (!option) return `${path} has no option ${name}`;
    if (value === undefined && option.required) at++;
    if (option.variadic) while (words[at + 1] !== undefined && !words[at + 1]?.startsWith('-')) at++;
    if (whole && at >= words.length) return `${path} ${name} takes a value`;
  }
  if (!whole) return undefined;
  const wanted = command.registeredArguments.filter((one) => one.required).length;
  const most = command.registeredArguments.some((one) => one.variadic)
    ? Infinity
    : command.registeredArguments.length;
  if (given < wanted) return `${path} takes ${command.usage()}`;
  return given > most ? `${path} takes ${command.usage()}, and ${given} words stand there` : undefined;
}

function pathOf(command: Command): string {
  const above = command.parent ? pathOf(command.parent) : '';
  return `${above} ${command.name()}`.trim();
}
