import type { Command } from 'commander';
import type { Event, PastEvent } from '../../shared/contract/host.ts';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { quoted } from '../names.ts';
import { moment } from '../table.ts';

interface Options {
  follow?: boolean;
  json?: boolean;
  lines: string;
}

function print(one: PastEvent, json: boolean | undefined): void {
  if (json) console.log(JSON.stringify(one));
  else console.log(`${moment(one.ts)}  ${one.from.padEnd(10)} ${one.service.padEnd(12)} ${one.message}`);
}

async function follow(client: Client, json: boolean | undefined): Promise<void> {
  await client.subscribe(client.topics.all.events, (topic, payload) => {
    const one = payload as Event | null;
    if (!one) return;
    const levels = topic.split('/');
    print({ ...one, from: levels.at(-3) ?? '', service: levels.at(-1) ?? '' }, json);
  });
  await client.lost;
}

/** `vs events`: what happened, from the master; --follow goes on with what happens. */
export function register(program: Command): void {
  program
    .command('events')
    .description('what happened in the pool; with --follow also what happens, until ctrl-C')
    .option('-f, --follow', 'go on until ctrl-C; works without the master')
    .option('-n, --lines <number>', 'how many of the past', '50')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  vs events -n 20\n  vs events --follow\n  vs events --json | jq .message',
    )
    .action(async (options: Options) => {
      const limit = Number(options.lines);
      if (!(Number.isInteger(limit) && limit >= 0 && limit <= 1000))
        throw new VsError('usage', `--lines is a number from 0 to 1000, not ${quoted(options.lines)}.`);
      await withClient(async (client) => {
        if (limit > 0) {
          const past = client.request('master', 'orchestrator.events', { limit }, { timeoutMs: 5000 });
          const { events } = await past.catch((error: unknown) => {
            if (!options.follow) throw error;
            process.stderr.write('vs: the master does not answer, so the past is not shown\n');
            return { events: [] };
          });
          for (const one of events) print(one, options.json);
        }
        if (options.follow) await follow(client, options.json);
      });
    });
}
