import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { checkHost, quoted } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';

interface Options extends SagaOptions {
  to?: string;
  parallel?: string;
  yes?: boolean;
}
/** Counting what a host has takes its time (ms). */
const PLAN_MS = 600_000;

/** How many at a time, 1 to 16; undefined unless given. */
export function parallelOf(words: string | undefined): { parallel?: number } {
  if (words === undefined) return {};
  const parallel = /^\d{1,2}$/.test(words) ? Number(words) : 0;
  if (parallel < 1 || parallel > 16)
    throw new VsError('usage', `${quoted(words)} is no number of moves at a time: it is 1 to 16.`);
  return { parallel };
}

/** `vs evacuate HOST`. */
export function register(program: Command): void {
  program
    .command('evacuate')
    .description('move every vserver of a host to others, by their free memory and disk')
    .argument('<host>', 'the host that shall be empty')
    .option('--to <hosts>', 'only to these, with commas between (also such as slaves.conf leaves out)')
    .option('--parallel <number>', 'so many at a time, 1 to 16 (2 unless told)')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show where each would go, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
Running ones are moved while they run. One that cannot go is named with the reason
and the others go on; exit 1 then. Nothing new is placed on the host until
"vs restore-host HOST" brings back what went.

Examples:
  vs evacuate host1 --dry-run
  vs evacuate host1 --to host2,host3 --parallel 4 --yes`,
    )
    .action(async (host: string, options: Options) => {
      checkHost(host);
      const to = options.to?.split(',').map((one) => checkHost(one.trim()));
      const args = { host, ...(to ? { to } : {}), ...parallelOf(options.parallel) };
      await withClient(async (client) => {
        if (!options.yes && !options.dryRun) {
          const { confirm } = await import('../ask.ts');
          await confirm(`Move every vserver of ${host} to other hosts?`, 'vs evacuate');
        }
        const started = await client.request(
          'master',
          'orchestrator.evacuate',
          { ...args, ...(options.dryRun ? { dryRun: true } : {}) },
          { timeoutMs: PLAN_MS },
        );
        await present(client, started, options);
      });
    });
}
