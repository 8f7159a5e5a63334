import type { Command } from 'commander';
import type { Data } from '../../shared/contract/commands.ts';
import { VsError } from '../../shared/errors.ts';
import { withClient } from '../client.ts';
import { hostOf } from '../locate.ts';
import { checkHost, checkName } from '../names.ts';
import { parseSpan } from '../stats/span.ts';
import { moment } from '../table.ts';

interface Options {
  for?: string;
  host?: string;
  json?: boolean;
}

/** What has come of it, in one line. */
export function pauseText({ name, until, paused }: Data<'monitor.pause'>, host: string): string {
  const who = name === undefined ? `all that is on ${host}` : `${name} on ${host}`;
  if (until !== null)
    return `${who}: nothing is mended until ${moment(until)}. What is wrong is told as ever`;
  return paused
    ? `${who}: still nothing is mended at this time, by MEND_PAUSE or for all of ${host}`
    : `${who}: mended again`;
}

async function turn(name: string | undefined, options: Options): Promise<void> {
  if (name !== undefined) checkName(name);
  if (options.host !== undefined) checkHost(options.host);
  if (name === undefined && options.host === undefined)
    throw new VsError('usage', 'Name a vserver, or a host for all that is on it: --host HOST.');
  const until = options.for === undefined ? null : Date.now() + parseSpan(options.for);
  await withClient(async (client) => {
    const host = name === undefined ? (options.host ?? '') : await hostOf(client, name, options.host);
    const args = { ...(name === undefined ? {} : { name }), until };
    const done = await client.request(host, 'monitor.pause', args);
    console.log(options.json ? JSON.stringify(done, null, 2) : pauseText(done, host));
  });
}

/** `vs monitor pause|resume`: no restarts for a while, of a vserver or of all that is on a host. */
export function registerPause(monitor: Command): void {
  const common = (word: string, description: string) =>
    monitor
      .command(word)
      .description(description)
      .argument('[name]', 'name of the vserver; without it: all that is on --host')
      .option('--host <host>', 'this host; with a name: without asking the master')
      .option('--json', 'for programs');
  common('pause', 'mend nothing for a while: no restarts of daemons and vservers; alerts go on')
    .requiredOption('--for <span>', 'how long, such as 30m, 2h, 7d; 31d at most')
    .addHelpText(
      'after',
      '\nExamples:\n  vs monitor pause web1 --for 2h\n  vs monitor pause --host host1 --for 8h',
    )
    .action(turn);
  common('resume', 'mend again, before the pause is over')
    .addHelpText('after', '\nExamples:\n  vs monitor resume web1\n  vs monitor resume --host host1')
    .action(turn);
}
