import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName, quoted } from '../names.ts';

/** What one command may carry (packets stay under 1 MB, and base64 is a third longer). */
const MOST_INPUT = 600_000;

/** The standard input as base64. */
async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    length += (chunk as Buffer).length;
    if (length <= MOST_INPUT) chunks.push(chunk as Buffer);
    else if (length > 64e6) break; // read on before that: who writes to us need not see a broken pipe
  }
  if (length > MOST_INPUT)
    throw new VsError('usage', `The standard input is longer than the ${MOST_INPUT} bytes that -i can give.`);
  return Buffer.concat(chunks).toString('base64');
}

/** `vs exec NAME -- CMD...`. */
export function register(program: Command): void {
  program
    .command('exec')
    .description('run a command in a vserver; ends with its exit code')
    .argument('<name>', 'name of the vserver')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--host <host>', 'on this host, without asking the master')
    .option('-i, --stdin', 'give it the standard input (up to 600 kB)')
    .option('--timeout <seconds>', 'stop it after this time', '3600')
    .passThroughOptions()
    .addHelpText('after', '\nExamples:\n  vs exec web1 -- systemctl status\n  vs exec -i web1 -- sh < script')
    .action(
      async (
        name: string,
        command: string[],
        options: { host?: string; stdin?: boolean; timeout: string },
      ) => {
        checkName(name);
        if (options.host !== undefined) checkHost(options.host);
        if (command[0] !== '--' && command[0]?.startsWith('-'))
          throw new VsError(
            'usage',
            `${quoted(command[0])} stands behind the name: options come before it, and the command after --, as in vs exec -i ${name} -- sh.`,
          );
        const argv = command[0] === '--' ? command.slice(1) : command;
        if (argv.length === 0) throw new VsError('usage', 'Give the command after --.');
        const seconds = Number(options.timeout);
        if (!(seconds > 0 && seconds <= 86_400))
          throw new VsError(
            'usage',
            `--timeout is a number of seconds up to 86400, not ${quoted(options.timeout)}.`,
          );
        const timeout = Math.ceil(seconds * 1000);
        const stdin = options.stdin ? await readInput() : undefined;
        const given = new AbortController();
        process.once('SIGINT', () => given.abort()); // ctrl-C ends the command in the vserver too
        try {
          await withClient(async (client) => {
            const { code } = await client.request(
              await hostOf(client, name, options.host),
              'host-agent.exec',
              { name, command: argv, timeout, ...(stdin === undefined ? {} : { stdin }) },
              {
                timeoutMs: timeout + 10_000,
                signal: given.signal,
                onProgress: ({ stream, data }) => {
                  if (typeof data !== 'string') return;
                  (stream === 'stderr' ? process.stderr : process.stdout).write(Buffer.from(data, 'base64'));
                },
              },
            );
            process.exitCode = code;
          });
        } catch (error) {
          if (!given.signal.aborted) throw error;
          process.exitCode = 130; // as a shell tells of SIGINT
        }
      },
    );
}
