import type { Command } from 'commander';
import { clientSettings } from '../settings.ts';
import { table } from '../table.ts';

/** `vs topics`: from the contract, not from a broker. */
export function register(program: Command): void {
  program
    .command('topics')
    .description('the topics of the bus: QoS, retained, who publishes')
    .option('--json', 'for programs, with readers, payload and an example')
    .addHelpText('after', "\nExamples:\n  vs topics\n  vs topics --json | jq -r '.[].topic'")
    .action(async (options: { json?: boolean }) => {
      const { channels } = await import('../../shared/contract/channels.ts');
      const { nameOf } = await import('../../shared/contract/named.ts');
      const { base } = await clientSettings();
      if (options.json) {
        const all = Object.entries(channels).map(([key, { payload, topic, ...rest }]) => ({
          key,
          topic: `${base}/${topic}`,
          ...rest,
          payload: nameOf(payload) || null,
        }));
        return console.log(JSON.stringify(all, null, 2));
      }
      const rows = Object.values(channels).map((one) => [
        one.topic,
        String(one.qos),
        one.retained ? 'yes' : 'no',
        one.reserved ? '(nobody yet)' : one.publishers.join(', '),
      ]);
      console.log(table([`BELOW ${base}`, 'QOS', 'RETAINED', 'PUBLISHED BY'], rows));
      console.log('\nPayloads, readers, commands: docs/topics.md; what is said now: vs listen FILTER');
    });
}
