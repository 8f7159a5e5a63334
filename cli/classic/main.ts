import { parseArgs } from 'node:util';
import { VsError } from '../../shared/errors.ts';
import { describeFailure } from '../exit.ts';
import { VerbFailed } from './call.ts';
import { type Classic, type Given, classics, later } from './table.ts';

/** Takes `--flag value` and `--flag` apart by the table of a command. Throws VsError 'usage'. */
export function readFlags(command: Classic, argv: string[]): { given: Given; words: string[] } {
  // a flag that may have a value has one when the next word is no flag
  const words = argv.map((one, at) => {
    const flag = command.flags[one.replace(/^--/, '')];
    const next = argv[at + 1];
    return one.startsWith('--') && flag?.kind === 'maybe' && (next === undefined || next.startsWith('--'))
      ? `${one}=`
      : one;
  });
  const options = Object.fromEntries(
    Object.entries(command.flags).map(([flag, { kind }]) => [
      flag,
      { type: kind === 'word' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({ args: words, options, allowPositionals: true });
    const given = Object.entries(values).map(([flag, value]) => [flag, value === '' ? true : value]);
    return { given: Object.fromEntries(given) as Given, words: positionals };
  } catch (error) {
    throw new VsError('usage', `${(error as Error).message}; --help shows the flags.`, { cause: error });
  }
}

const helpOf = (name: string, { summary, flags }: Classic): string =>
  [
    `${name}: ${summary}`,
    '',
    ...Object.entries(flags).map(
      ([flag, { kind, help }]) =>
        `  --${flag}${kind === 'text' ? ' V' : kind === 'maybe' ? ' [V]' : ''}`.padEnd(24) + help,
    ),
    '  --help',
    '',
    'The commands of today are those of "vs --help"; docs/classic.md says which is which.',
  ].join('\n');

/** Runs a classic command; answers its exit code. */
export function main(name: string, argv: string[]): number {
  try {
    const command = classics[name];
    if (!command)
      throw new VsError(
        'usage',
        name in later
          ? `${name} (${later[name]}) is not there yet.`
          : `there is no ${name}; there are ${Object.keys(classics).join(', ')}.`,
      );
    if (argv.includes('--help') || argv.includes('-h')) {
      console.log(helpOf(name, command));
      return 0;
    }
    const { given, words } = readFlags(command, argv);
    if (words.length > 0 && name !== 'vs-functions')
      throw new VsError('usage', `"${words[0]}" is no flag of ${name}; --help shows them.`);
    for (const line of command.run(given, words)) console.log(line);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof VerbFailed) return error.code;
    const { text, code } = describeFailure(error);
    process.stderr.write(`${name}: ${text}\n`);
    return code;
  }
}

if (import.meta.main) process.exitCode = main(process.argv[2] ?? '', process.argv.slice(3));
