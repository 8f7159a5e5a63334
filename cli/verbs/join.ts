import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { needRoot } from '../ask.ts';
import { VsError } from '../../shared/errors.ts';
import { quoted } from '../names.ts';
import { startLines } from '../units.ts';

/** HOST[:PORT] of the master; an IPv6 address with a port in brackets. */
function masterOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::(\d{1,5}))?$/.exec(text);
  const bare = /^[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*$/.test(text) && text.split(':').length > 2 ? text : undefined;
  const host = bare ?? match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? 8443);
  if (!host || !(port > 0 && port < 65_536))
    throw new VsError(
      'usage',
      `${quoted(text)} is no master: it is HOST or HOST:PORT, as "vs host token" prints it.`,
    );
  return { host, port };
}

/** `vs join MASTER --token TOKEN`: makes this machine a host of a pool. */
export function register(program: Command): void {
  program
    .command('join')
    .description('make this machine a host of a pool (on the new host, as root)')
    .argument('<master>', 'HOST[:PORT] of the master')
    .requiredOption('--token <token>', 'from "vs host token NAME"; - reads it from the standard input')
    .addHelpText(
      'after',
      '\nThe line comes from "vs host token NAME" on the master. It can run again until the token ends.' +
        '\n\nExamples:\n  vs join 192.0.2.1 --token host1.3q2-7w...\n  vs join master.example:8443 --token - < token',
    )
    .action(async (master: string, options: { token: string }) => {
      process.title = 'vs join'; // command lines are everybody's to read
      const where = masterOf(master);
      const { readToken } = await import('../../shared/token.ts');
      const token = readToken(options.token === '-' ? await readAll(process.stdin) : options.token);
      needRoot('vs join');
      const { joinPool } = await import('../join.ts');
      const { loadSettings } = await import('../../config/settings.ts');
      const settings = loadSettings();
      const { ends, notes } = await joinPool(settings, where, token);
      console.log(
        `This machine is the host ${token.name} now. Its certificate is good until ${ends}, and is renewed by itself.`,
      );
      const { endLxcNet } = await import('../lxc-net.ts');
      for (const note of [...notes, ...(await endLxcNet())]) console.log(note);
      console.log(`Its networks come from the master, where "vs net apply" gives them to all hosts (docs/networking.md). Next:
  ${startLines(['vs-agent', 'vs-vservers'], ['host-agent network firewall monitor snapshot transfer doctor packages repository-host']).join('\n  ')}
  vs doctor                          # is this host fit?`);
    });
}
