import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, quoted } from '../names.ts';
import { busExec } from '../session/bus-exec.ts';

interface Options {
  host?: string;
  stdin?: boolean;
  terminal?: boolean;
  user?: string;
  timeout?: string;
}
/** How long a program without a terminal may run unless told (s). */
const SECONDS = 3600;

/** The words behind a vserver's name: a command, with or without --. Throws VsError 'usage' when options stand there. */
export function commandOf(name: string, words: string[]): string[] {
  const [first] = words;
  if (first !== '--' && first?.startsWith('-'))
    throw new VsError(
      'usage',
      `${quoted(first)} stands behind the name: options come before it, and the command after --, as in vs exec -i ${name} -- sh.`,
    );
  return first === '--' ? words.slice(1) : words;
}

/** `vs exec NAME -- CMD...`. */
export function register(program: Command): void {
  program
    .command('exec')
    .description('run a command in a vserver; ends with its exit code')
    .argument('<name>', 'name of the vserver')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--host <host>', 'on this host, without asking the master')
    .option('-i, --stdin', 'give it the standard input, of any length')
    .option('-t, --terminal', 'with a terminal: colours, window size, job control')
    .option('--user <user>', 'as this user of the vserver, by name or number (root unless told)')
    .option('--timeout <seconds>', `stop it after this time (${SECONDS}, with -t never)`)
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nExamples:\n  vs exec web1 -- systemctl status\n  vs exec -i web1 -- sh < script\n  vs exec -t web1 -- top\n  tar -c site | vs exec -i web1 -- tar -x -C /srv',
    )
    .action(async (name: string, words: string[], options: Options) => {
      checkName(name);
      if (options.host !== undefined) checkHost(options.host);
      const command = commandOf(name, words);
      if (command.length === 0) throw new VsError('usage', 'Give the command after --.');
      const timeout = millisecondsOf(options);
      const { user } = options;
      const what = {
        command,
        ...(user === undefined ? {} : { user }),
        ...(timeout === undefined ? {} : { timeout }),
      };
      if (options.terminal) {
        const { atTerminal } = await import('./enter.ts');
        process.exitCode = await atTerminal(name, options.host, what);
        return;
      }
      await withoutTerminal(name, options, what);
    });
}

function millisecondsOf({ timeout, terminal }: Options): number | undefined {
  if (timeout === undefined) return terminal ? undefined : SECONDS * 1000;
  const seconds = Number(timeout);
  if (seconds > 0 && seconds <= 86_400) return Math.ceil(seconds * 1000);
  throw new VsError('usage', `--timeout is a number of seconds up to 86400, not ${quoted(timeout)}.`);
}

type What = { command: string[]; user?: string; timeout?: number };

/** With pipes, through a session; where none is possible, by the bus with its limits. */
async function withoutTerminal(name: string, options: Options, what: What): Promise<void> {
  const { openSession } = await import('../session/open.ts');
  const { readInput, talk } = await import('../session/talk.ts');
  const { letGo } = await import('../session/terminal.ts');
  let interrupted = 0;
  let heed: () => void = () => undefined;
  const given = new AbortController();
  process.on('SIGINT', () => {
    interrupted++;
    given.abort(); // ctrl-C ends the command in the vserver too
    if (interrupted > 2) process.exit(130);
    heed();
  });
  try {
    const opened = await withClient(async (client) => {
      const host = await hostOf(client, name, options.host);
      try {
        return { host, wire: await openSession(client, host, name, { kind: 'run', ...what }) };
      } catch (error) {
        if (!isWithoutSessions(error) || what.user !== undefined) throw error;
        await busExec(client, host, name, { ...what, stdin: options.stdin === true }, given.signal);
        return undefined;
      }
    });
    if (!opened) return;
    const session = talk(opened.wire, {
      ...opened,
      name,
      input: options.stdin ? readInput() : undefined,
      output: process.stdout,
      complaints: process.stderr,
    });
    heed = () => session.signal(2);
    if (interrupted) heed();
    process.exitCode = await session.ended;
    if (interrupted) process.exitCode = 130; // as a shell tells of SIGINT
  } catch (error) {
    if (!interrupted) throw error;
    process.exitCode = 130;
  } finally {
    if (options.stdin) letGo();
  }
}

/** There the host is not reached from here, has no certificate, or is of an older version. */
function isWithoutSessions(error: unknown): boolean {
  if (!(error instanceof VsError)) return false;
  return (
    error.details?.['session'] === 'none' || /there is no command host-agent\.session/.test(error.message)
  );
}
