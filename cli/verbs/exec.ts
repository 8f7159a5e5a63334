import type { Command } from 'commander';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** `vs exec NAME -- CMD...`. */
export function register(program: Command): void {
  program
    .command('exec')
    .description('run a command in a vserver; ends with its exit code')
    .argument('<name>', 'name of the vserver')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--host <host>', 'on this host, without asking the master')
    .option('-i, --stdin', 'give it the standard input (up to 700 kB)')
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
        const argv = command[0] === '--' ? command.slice(1) : command;
        const timeout = Math.max(1, Number(options.timeout) || 3600) * 1000;
        const stdin = options.stdin ? await readInput() : undefined;
        await withClient(async (client) => {
          const { code } = await client.request(
            await hostOf(client, name, options.host),
            'host-agent.exec',
            { name, command: argv, timeout, ...(stdin === undefined ? {} : { stdin }) },
            {
              timeoutMs: timeout + 10_000,
              onProgress: ({ stream, data }) => {
                if (typeof data !== 'string') return;
                (stream === 'stderr' ? process.stderr : process.stdout).write(Buffer.from(data, 'base64'));
              },
            },
          );
          process.exitCode = code;
        });
      },
    );
}
