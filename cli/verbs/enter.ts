import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';
import { openSession } from '../session/open.ts';
import { readInput, talk } from '../session/talk.ts';
import { needTerminal, terminalHere, withRawTerminal } from '../session/terminal.ts';
import { commandOf } from './exec.ts';

/** `vs enter NAME [-- CMD...]`. */
export function register(program: Command): void {
  program
    .command('enter')
    .description('a shell in a vserver, at this terminal; ends with its exit code')
    .argument('<name>', 'name of the vserver')
    .argument('[command...]', 'a program instead of the shell, after --')
    .option('--user <user>', 'as this user of the vserver, by name or number (root unless told)')
    .option('--host <host>', 'on this host, without asking the master')
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExamples:\n  vs enter web1\n  vs enter --user www-data web1\n  vs enter web1 -- top',
    )
    .action(async (name: string, command: string[], options: { user?: string; host?: string }) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const argv = commandOf(name, command);
      needTerminal('vs enter');
      const { user } = options;
      process.exitCode = await atTerminal(name, options.host, {
        ...(argv.length > 0 ? { command: argv } : {}),
        ...(user === undefined ? {} : { user }),
      });
    });
}

/** A program or shell in a vserver with the terminal of this process; answers its exit code. */
export async function atTerminal(
  name: string,
  given: string | undefined,
  what: { command?: string[]; user?: string; timeout?: number },
): Promise<number> {
  const terminal = terminalHere();
  const { wire, host } = await withClient(async (client) => {
    const there = await hostOf(client, name, given);
    return { host: there, wire: await openSession(client, there, name, { kind: 'run', terminal, ...what }) };
  });
  const { stdout, stderr } = process;
  let resize: (rows: number, columns: number) => void = () => undefined;
  return withRawTerminal(
    (rows, columns) => resize(rows, columns),
    () => {
      const session = talk(wire, { host, name, input: readInput(), output: stdout, complaints: stderr });
      resize = session.resize;
      if (stdout.rows !== terminal.rows || stdout.columns !== terminal.columns)
        resize(stdout.rows || terminal.rows, stdout.columns || terminal.columns);
      return session.ended;
    },
  );
}
