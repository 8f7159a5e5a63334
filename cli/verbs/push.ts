import { lstat, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { needGuestPlace, overridesOf } from '../guest-path.ts';
import { checkHost } from '../names.ts';
import { interruptible, pushOne } from '../session/files.ts';
import { openMeter } from '../session/meter.ts';
import { measure } from '../tar/write.ts';

interface Options {
  recursive?: boolean;
  parents?: boolean;
  uid?: string;
  gid?: string;
  mode?: string;
  host?: string;
}

/** `vs push FILE... NAME:PATH`. */
export function register(program: Command): void {
  program
    .command('push')
    .description('copy files and directories into a vserver, running or stopped')
    .argument('<words...>', 'files or directories of this machine, then NAME:PATH')
    .option('-r, --recursive', 'directories, with all that is in them')
    .option('-p, --parents', 'make the directories on the way')
    .option('--uid <number>', 'owner inside (that of the file unless told)')
    .option('--gid <number>', 'group inside (that of the file unless told)')
    .option('--mode <octal>', 'mode of the files (their own unless told)')
    .option('--host <host>', 'on this host, without asking the master')
    .addHelpText(
      'after',
      '\nExamples:\n  vs push nginx.conf web1:/etc/nginx/\n  vs push -r --uid 33 --gid 33 site web1:/srv/www',
    )
    .action(async (words: string[], options: Options) => {
      const to = needGuestPlace(words.at(-1) ?? '', 'vs push hosts web1:/etc/hosts');
      const sources = words.slice(0, -1);
      if (sources.length === 0)
        throw new VsError('usage', 'Give what is to be copied, then where to: vs push FILE... NAME:PATH.');
      if (options.host !== undefined) checkHost(options.host);
      const overrides = overridesOf(options);
      for (const source of sources) await check(source, options.recursive === true);
      // several go into a directory
      const place = sources.length > 1 && !to.path.endsWith('/') ? { ...to, path: `${to.path}/` } : to;
      const parents = options.parents === true;
      await interruptible(async (signal) => {
        for (const source of sources) {
          const tree = (await stat(source)).isDirectory();
          const { bytes, files } = await measure(source);
          const meter = openMeter(to.name, bytes);
          const as = basename(resolve(source));
          try {
            await pushOne(
              source,
              place,
              { as, tree, parents },
              { ...overrides, host: options.host, signal },
              meter,
            );
          } finally {
            meter.stop();
          }
          console.log(`${source} -> ${to.name}:${to.path}, ${meter.summary(files)}`);
        }
      });
    });
}

async function check(source: string, recursive: boolean): Promise<void> {
  const found = await lstat(source).catch((error: Error) => {
    throw new VsError('usage', `${source} cannot be read here: ${error.message}`, { cause: error });
  });
  const isLink = found.isSymbolicLink();
  if (isLink) throw new VsError('usage', `${source} is a symbolic link: name the file itself.`);
  if (found.isDirectory() && !recursive) throw new VsError('usage', `${source} is a directory: give -r.`);
  if (!found.isDirectory() && !found.isFile())
    throw new VsError('usage', `${source} is neither a file nor a directory.`);
}
