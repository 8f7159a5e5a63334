import type { Command } from 'commander';

const COLUMNS = 80;

/** A sentence of help in lines of a terminal's width; what is indented (examples, tables) stays as it is, to be copied. */
export function wrap(text: string, columns = COLUMNS): string {
  return text
    .split('\n')
    .flatMap((line) => {
      if (line.length <= columns || /^\s/.test(line)) return [line];
      const lines = [''];
      for (const word of line.split(' ')) {
        const last = lines.at(-1) ?? '';
        if (last === '') lines[lines.length - 1] = word;
        else if (last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`;
        else lines.push(word);
      }
      return lines;
    })
    .join('\n');
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
