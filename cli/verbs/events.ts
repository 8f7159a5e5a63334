import type { Command } from 'commander';
import type { Event } from '../../shared/contract/host.ts';
import { withClient } from '../client.ts';
import { moment } from '../table.ts';

/** `vs events`: the bus keeps no history, so it follows until ctrl-C. */
export function register(program: Command): void {
  program
    .command('events')
    .description('what happens in the pool, as it happens, until ctrl-C')
    .option('--follow', 'as it is anyway: the bus keeps no past events')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExamples:\n  vs events --follow\n  vs events --json | jq .message')
    .action(async (options: { json?: boolean }) => {
      await withClient(async (client) => {
        await client.subscribe(client.topics.all.events, (topic, payload) => {
          const one = payload as Event | null;
          if (!one) return;
          const levels = topic.split('/');
          const from = levels.at(-3) ?? '';
          const service = levels.at(-1) ?? '';
          if (options.json) console.log(JSON.stringify({ from, service, ...one }));
          else console.log(`${moment(one.ts)}  ${from.padEnd(10)} ${service.padEnd(12)} ${one.message}`);
        });
        await client.lost;
      });
    });
}
