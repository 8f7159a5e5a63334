import type { Command } from 'commander';

const COLUMNS = 80;

/** Words in lines of so many columns. */
function fill(words: string[], columns: number): string[] {
  const lines = [''];
  for (const word of words) {
    const last = lines.at(-1) ?? '';
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/**
 * Sentences of help in lines of a terminal's width: a paragraph with a line that is too long is filled anew. What is indented
 * (examples, tables) stays as it is, to be copied.
 */
export function wrap(text: string, columns = COLUMNS): string {
  const lines: string[] = [];
  let paragraph: string[] = [];
  const end = () => {
    const isLong = paragraph.some((line) => line.length > columns);
    lines.push(...(isLong ? fill(paragraph.join(' ').split(' '), columns) : paragraph));
    paragraph = [];
  };
  for (const line of text.split('\n')) {
    if (line !== '' && !/^\s/.test(line) && !line.endsWith(':')) {
      paragraph.push(line);
      continue;
    }
    end();
    lines.push(...(line.endsWith(':') && !/^\s/.test(line) ? fill(line.split(' '), columns) : [line]));
  }
  end();
  return lines.join('\n');
}

/** How help and faults of the command line look: in 80 columns, with the names of what is below, and what to do next. */
export function shapeHelp(program: Command): Command {
  return program
    .configureHelp({
      minWidthToWrap: 20,
      subcommandTerm: (one) =>
        [
          one.name(),
          ...one.registeredArguments.map((word) => (word.required ? `<${word.name()}>` : `[${word.name()}]`)),
        ].join(' '),
    })
    .configureOutput({ writeOut: (text) => void process.stdout.write(wrap(text)) })
    .showSuggestionAfterError()
    .showHelpAfterError('Add --help to see what there is.');
}
