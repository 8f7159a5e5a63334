import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, quoted } from '../names.ts';
import { table } from '../table.ts';

/** `of`: a service or a command; every one without it. */
async function list(of: string | undefined, json: boolean): Promise<void> {
  const { commands } = await import('../../shared/contract/commands.ts');
  const { jsonSchemaOf, shapeOf } = await import('../shape.ts');
  const wanted = Object.entries(commands).filter(
    ([name]) => of === undefined || name === of || name.startsWith(`${of}.`),
  );
  if (wanted.length === 0)
    throw new VsError(
      'not-found',
      `There is no service or command ${of}; "vs call --list" shows all of them.`,
    );
  if (json) {
    const all = wanted.map(([command, { scope, summary, args, data }]) => ({
      command,
      scope,
      summary,
      args: jsonSchemaOf(args, 'input'),
      data: jsonSchemaOf(data),
    }));
    return console.log(JSON.stringify(all, null, 2));
  }
  const lines = table(
    ['COMMAND', 'TARGET', 'WHAT IT DOES'],
    wanted.map(([name, spec]) => [name, spec.scope, spec.summary]),
  ).split('\n');
  const schemas = wanted.map(
    ([, { args, data }]) => `    takes    ${shapeOf(args, 'input')}\n    answers  ${shapeOf(data)}`,
  );
  console.log(lines.map((line, at) => (at === 0 ? line : `${line}\n${schemas[at - 1]}`)).join('\n'));
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
    .argument('[target]', 'a host, or master; with --list: a service or a command')
    .argument('[command]', 'SERVICE.COMMAND')
    .argument('[json]', 'its arguments, a JSON object', '{}')
    .option('--list', 'every command of every service, with its schema')
    .option('--json', 'with --list: JSON Schemas, for programs (answers are JSON always)')
    .option('--timeout <seconds>', 'how long to wait', '60')
    .addHelpText(
      'after',
      `\nExamples:\n  vs call --list\n  vs call --list network --json\n  vs call host1 host-agent.show '{"name":"web1"}'`,
    )
    .action(
      async (
        target: string | undefined,
        command: string | undefined,
        json: string,
        options: { list?: boolean; json?: boolean; timeout: string },
      ) => {
        if (options.list) return list(target, options.json === true);
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
