import { basename } from 'node:path';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { type GuestPlace, needGuestPlace, overridesOf } from '../guest-path.ts';
import { checkHost } from '../names.ts';
import { interruptible, pullOne, pullTo } from '../session/files.ts';
import { openMeter } from '../session/meter.ts';
import { targetOf } from '../tar/place.ts';

interface Options {
  recursive?: boolean;
  uid?: string;
  gid?: string;
  mode?: string;
  host?: string;
}

/** `vs pull NAME:PATH... FILE`. */
export function register(program: Command): void {
  program
    .command('pull')
    .description('copy files and directories out of a vserver, running or stopped')
    .argument('<words...>', 'NAME:PATH, then a file or directory of this machine; - is the standard output')
    .option('-r, --recursive', 'directories, with all that is in them')
    .option('--uid <number>', 'owner here (you unless told)')
    .option('--gid <number>', 'group here (yours unless told)')
    .option('--mode <octal>', 'mode of the files (their own unless told, without set-id bits)')
    .option('--host <host>', 'on this host, without asking the master')
    .addHelpText(
      'after',
      '\nExamples:\n  vs pull web1:/etc/nginx/nginx.conf .\n  vs pull -r web1:/srv/www site\n  vs pull web1:/var/log/syslog - | less',
    )
    .action(async (words: string[], options: Options) => {
      const to = words.at(-1) ?? '';
      const example = 'vs pull web1:/etc/hosts hosts';
      const sources = words.slice(0, -1).map((word) => needGuestPlace(word, example));
      if (sources.length === 0)
        throw new VsError('usage', `Give what is to be copied, then where to: ${example}.`);
      if (options.host !== undefined) checkHost(options.host);
      const overrides = overridesOf(options);
      for (const { name, path } of sources)
        if (basename(path) === '')
          throw new VsError('usage', `${name}:/ is all of it: to copy a vserver, vs get ${name}.`);
      const tree = options.recursive === true;
      await interruptible(async (signal) => {
        const given = { ...overrides, host: options.host, signal };
        for (const source of sources)
          if (to === '-') await pullTo(source, process.stdout, given);
          else
            await toFile(source, await targetOf(to, basename(source.path), sources.length > 1), tree, given);
      });
    });
}

async function toFile(
  source: GuestPlace,
  target: string,
  tree: boolean,
  given: Parameters<typeof pullOne>[3],
): Promise<void> {
  const meter = openMeter(source.name);
  try {
    await pullOne(source, target, tree, given, meter);
  } finally {
    meter.stop();
  }
  console.log(`${source.name}:${source.path} -> ${target}, ${meter.summary()}`);
}
