import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, quoted } from '../names.ts';
import { table } from '../table.ts';

async function list(json: boolean): Promise<void> {
  const { commands } = await import('../../shared/contract/commands.ts');
  if (json) {
    const all = Object.entries(commands).map(([command, { scope, summary }]) => ({
      command,
      scope,
      summary,
    }));
    return console.log(JSON.stringify(all, null, 2));
  }
  const rows = Object.entries(commands).map(([name, spec]) => [name, spec.scope, spec.summary]);
  console.log(table(['COMMAND', 'TARGET', 'WHAT IT DOES'], rows));
}

function parseArgs(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (value && typeof value === 'object' && !Array.isArray(value)) return value;
  } catch {
    // told below
  }
  throw new VsError(
    'usage',
    `The arguments are one JSON object, such as '{"name":"web1"}', not ${quoted(text)}`,
  );
}

/** `vs call TARGET SERVICE.COMMAND [JSON]`. */
export function register(program: Command): void {
  program
    .command('call')
    .description('send any command to a service; its answer is printed as JSON')
    .argument('[target]', 'a host, or master')
    .argument('[command]', 'SERVICE.COMMAND')
    .argument('[json]', 'its arguments, a JSON object', '{}')
    .option('--list', 'every command of every service')
    .option('--json', 'with --list: for programs (answers are JSON always)')
    .option('--timeout <seconds>', 'how long to wait', '60')
    .addHelpText('after', `\nExamples:\n  vs call --list\n  vs call host1 host-agent.show '{"name":"web1"}'`)
    .action(
      async (
        target: string | undefined,
        command: string | undefined,
        json: string,
        options: { list?: boolean; json?: boolean; timeout: string },
      ) => {
        if (options.list) return list(options.json === true);
        if (!target || !command)
          throw new VsError(
            'usage',
            'Give a target and a command: vs call TARGET SERVICE.COMMAND [JSON]; "vs call --list" shows them.',
          );
        if (target !== 'master') checkHost(target);
        if (!/^[a-z][a-z-]*\.[a-z][A-Za-z-]*$/.test(command))
          throw new VsError(
            'usage',
            `${quoted(command)} is no SERVICE.COMMAND; "vs call --list" shows them.`,
          );
        const seconds = Number(options.timeout);
        if (!(seconds > 0))
          throw new VsError('usage', `--timeout is a number of seconds, not ${quoted(options.timeout)}.`);
        const args = parseArgs(json);
        const data = await withClient((client) =>
          client.call(target, command, args, {
            timeoutMs: seconds * 1000,
            onProgress: (progress) => process.stderr.write(`${JSON.stringify(progress)}\n`),
          }),
        );
        console.log(JSON.stringify(data, null, 2));
      },
    );
}
