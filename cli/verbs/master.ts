import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { confirm, needRoot } from '../ask.ts';
import { moment, size } from '../table.ts';
import { startLines } from '../units.ts';
import { registerUpdateHosts } from '../update-hosts.ts';

/** `vs master init|backup|restore|update-hosts`: makes this machine the master of a pool, keeps what it knows, brings it back, upgrades its hosts. */
export function register(program: Command): void {
  const master = program
    .command('master')
    .description('the master of a pool (on it, as root)')
    .addHelpText('after', '\nExamples:\n  vs master init\n  vs master backup /mnt/usb --keep 30');
  master
    .command('init')
    .description('make this machine the master: authority, certificate, users, vs-tools.conf; again is fine')
    .option(
      '--name <name...>',
      'a name or address by which hosts and people reach it, the first is for hosts',
    )
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExamples:\n  vs master init\n  vs master init --name master.example --yes')
    .action(async (options: { name?: string[]; yes?: boolean }) => {
      needRoot('vs master init');
      const { loadSettings } = await import('../../config/settings.ts');
      const { initMaster } = await import('../../services/authority/init.ts');
      const settings = loadSettings();
      if (!options.yes)
        await confirm(
          `Make this machine the master of a pool (authority and certificates in ${settings.STATE_DIR}, settings in ${settings.CONFIG_DIR})?`,
          'vs master init',
        );
      const done = await initMaster(settings, options.name ?? []);
      const { endLxcNet } = await import('../lxc-net.ts');
      for (const line of [...done, ...(await endLxcNet())]) console.log(line);
      console.log(`${done.length > 0 ? 'This machine is the master' : 'Nothing to do: this machine is the master already'}. Next:
  ${startLines(['vs-broker', 'vs-master'], ['broker', 'orchestrator repository networks template authority exporter discovery history backup-scheduler alerter master-doctor']).join('\n  ')}
  vs host token host1                # prints the line to run on the host host1
  vs user add anna --role operator   # a person`);
    });
  registerBackup(master);
  registerRestore(master);
  registerUpdateHosts(master);
}

function keepOf(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new VsError('usage', `--keep is a whole number from 1 to 99999, not "${text.slice(0, 40)}"`);
}

/** `vs master backup`: also from cron or a timer, while the services run. */
function registerBackup(master: Command): void {
  master
    .command('backup')
    .description(
      'an archive of what the master knows: authority, users, settings, journals. It holds the keys of the pool: keep it as safe as the master',
    )
    .argument('<directory>', 'where it is put, as vs-master-TIME.tar.gz')
    .option('--keep <n>', 'remove older archives there, but for the newest N')
    .option('--with-history', 'with the kept figures (vs stats), which may be large')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs master backup /mnt/usb\n  vs master backup /mnt/usb --keep 30')
    .action(async (directory: string, options: { keep?: string; withHistory?: boolean; json?: boolean }) => {
      needRoot('vs master backup');
      const keep = options.keep === undefined ? undefined : keepOf(options.keep);
      const { resolve } = await import('node:path');
      const { loadSettings } = await import('../../config/settings.ts');
      const { takeArchive } = await import('../../services/master-archive/take.ts');
      const { version } = await import('../../shared/service.ts');
      const taken = await takeArchive(loadSettings(), resolve(directory), {
        version: version(),
        ...(keep === undefined ? {} : { keep }),
        ...(options.withHistory ? { withHistory: true } : {}),
      });
      if (options.json) return console.log(JSON.stringify(taken, null, 2));
      console.log(`${taken.file}: ${taken.files} files, ${size(taken.bytes)}`);
      if (taken.removed.length > 0) console.log(`removed ${taken.removed.join(', ')}`);
      console.log('It holds the keys of the pool. Bring it back with: vs master restore FILE');
    });
}

/** The file that is named, or the newest one of a path. */
async function archiveOf(
  file: string | undefined,
  { from, at }: { from?: string; at?: string },
): Promise<string> {
  if ((file === undefined) === (from === undefined))
    throw new VsError('usage', 'name a file of vs master backup, or with --from where archives are');
  if (at !== undefined && from === undefined)
    throw new VsError('usage', '--at is for --from: a file is of one moment');
  if (file !== undefined) return file;
  const { resolve } = await import('node:path');
  const { newestArchive } = await import('../../services/master-archive/kept.ts');
  const { parseMoment } = await import('../backup/words.ts');
  return newestArchive(resolve(from ?? ''), at === undefined ? undefined : parseMoment(at));
}

/** `vs master restore`: on a new machine, or in the place of what this one has. */
function registerRestore(master: Command): void {
  master
    .command('restore')
    .description('this machine becomes the master that an archive was taken of')
    .argument('[file]', 'an archive of vs master backup')
    .option('--from <path>', 'the newest archive of a repository: its path, or a directory of archives')
    .option('--at <time>', 'with --from: as it was at this moment at the latest')
    .option('--replace', 'this machine is a master already: what it has is put aside')
    .option('--name <name...>', 'a name or address by which hosts and people reach it now')
    .option('--yes', 'do not ask')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      '\nExamples:\n  vs master restore /mnt/usb/vs-master-20261127T030000Z.tar.gz\n  vs master restore vs-master-20261127T030000Z.tar.gz --replace --yes\n  vs master restore --from /srv/backups --at "2026-11-27 03:00"',
    )
    .action(
      async (
        given: string | undefined,
        options: {
          from?: string;
          at?: string;
          replace?: boolean;
          name?: string[];
          yes?: boolean;
          json?: boolean;
        },
      ) => {
        needRoot('vs master restore');
        const file = await archiveOf(given, options);
        const { resolve } = await import('node:path');
        const { loadSettings } = await import('../../config/settings.ts');
        const { initMaster } = await import('../../services/authority/init.ts');
        const { restoreArchive } = await import('../../services/master-archive/restore.ts');
        const settings = loadSettings();
        if (!options.yes)
          await confirm(
            `Make this machine the master of the pool in ${file} (${settings.STATE_DIR}, ${settings.CONFIG_DIR})? The old master must not run any more.`,
            'vs master restore',
          );
        const restored = await restoreArchive(settings, resolve(file), { replace: options.replace ?? false });
        const done = await initMaster(loadSettings(), options.name ?? []);
        if (options.json) return console.log(JSON.stringify({ ...restored, done }, null, 2));
        console.log(
          `This machine is the master as ${restored.host} was at ${moment(restored.taken)}: ${restored.files} files`,
        );
        for (const line of done) console.log(line);
        if (restored.aside) console.log(`What it had before is in ${restored.aside}`);
        if (restored.unfinished.length > 0)
          console.log(
            `These ran at that moment, and are not resumed: ${restored.unfinished.join(', ')}. Their journals are in ${settings.STATE_DIR}/sagas/not-resumed; once the hosts are online look at vs scan, and let vs doctor --fix clear away what they left.`,
          );
        console.log(`Next: ${startLines(['vs-broker', 'vs-master'], ['broker', 'orchestrator ...']).join('; ')}, then vs host list.
Hosts come by themselves when they reach it by the name or address that they know.`);
      },
    );
}
