import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, checkName } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  host: string;
  from?: string;
  start?: boolean;
  confirm?: string;
}

/** What a person may have said already, before anything is asked of the pool. */
function given(name: string, confirm: string | undefined): string | undefined {
  if (confirm === undefined && !process.stdin.isTTY)
    throw new VsError(
      'usage',
      `vs recover asks for the name of the vserver, and here is no terminal: give --confirm ${name} once you know that its host is dead.`,
    );
  if (confirm !== undefined && confirm !== name)
    throw new VsError('usage', `--confirm must be ${name}: it says that its host is dead.`);
  return confirm;
}

/** The name, as a person types it after having read what will be. */
async function typed(name: string, title: string): Promise<string> {
  process.stderr.write(
    `${title}\nWhat ${name} wrote after that moment is lost. Its host must be dead, not only cut off: switch it off.\n`,
  );
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = (await lines.question('Type the name of the vserver to recover it: ')).trim();
  lines.close();
  if (answer !== name) throw new VsError('refused', `That is not ${name}, so nothing was done.`);
  return answer;
}

/** `vs recover NAME --host HOST`. */
export function register(program: Command): void {
  program
    .command('recover')
    .description('bring back a vserver whose host is dead, from the newest copy there is')
    .argument('<name>', 'name of the vserver')
    .requiredOption('--host <host>', 'the host it shall be on')
    .option('--from <place>', 'from the copy of master, or the trash of this host (the newest unless told)')
    .option('--start', 'start it (as it is when it was running)')
    .option('--no-start', 'do not start it')
    .option('--confirm <name>', 'the name once more: its host is dead, and nobody asks')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
It is refused while the host that had it is online, and while its address or that
host answers. Where a move has all of it on one host and waits for another, which
is dead, it names the host: the move is finished there, or taken back.
If that host comes back later, it finds that it owns the vserver no more and
starts nothing.

Examples:
  vs recover web1 --host host2 --dry-run
  vs recover web1 --host host2
  vs recover web1 --host host2 --from master --confirm web1`,
    )
    .action(async (name: string, options: Options) => {
      checkName(name);
      checkHost(options.host);
      if (options.from !== undefined) checkName(options.from);
      const args = {
        name,
        host: options.host,
        ...(options.from === undefined ? {} : { from: options.from }),
        ...(options.start === undefined ? {} : { start: options.start }),
      };
      const said = options.dryRun ? undefined : given(name, options.confirm);
      await withClient(async (client) => {
        const ask = (more: { dryRun: true } | { confirm: string }) =>
          client.request('master', 'orchestrator.recover', { ...args, ...more }, { timeoutMs: 600_000 });
        const plan = said === undefined ? await ask({ dryRun: true }) : undefined;
        if (plan && options.dryRun) await present(client, plan, options);
        else {
          const confirm = said ?? (await typed(name, plan?.state.title ?? name));
          const begun = await ask({ confirm });
          const last = await present(client, begun, options);
          if (begun.undoes && last.result === 'undone') process.exitCode = 0;
        }
      });
    });
}
