import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { confirm } from '../ask.ts';
import { type Client, withClient } from '../client.ts';
import { checkHost, checkName, parseAddress } from '../names.ts';
import { type SagaOptions, present } from '../sagas.ts';
import { restorePath } from './path.ts';
import { type Where, checkBackup, parseMoment, repositoryOf } from './words.ts';

interface Options extends SagaOptions, Where {
  at?: string;
  id?: string;
  as?: string;
  address?: string;
  host?: string;
  start?: boolean;
  over?: boolean;
  yes?: boolean;
  path?: string[];
  to?: string;
  into?: boolean;
  aside: string;
}

/** The flags, looked at before anything is asked of the pool. */
function argsOf(name: string, options: Options) {
  checkName(name);
  if (options.at !== undefined && options.id !== undefined)
    throw new VsError('usage', 'Give --at or --id, not both.');
  if (options.to !== undefined && options.into) throw new VsError('usage', 'Give --to or --into, not both.');
  if ((options.path === undefined) !== (options.to === undefined && !options.into))
    throw new VsError(
      'usage',
      '--path goes with --to or --into: what of the backup, and the directory it goes to, or the vserver itself.',
    );
  if (options.as !== undefined && options.over)
    throw new VsError('usage', '--as makes another vserver, so there is nothing for --over.');
  const where = options.address === undefined ? {} : parseAddress(options.address);
  if ('prefix' in where) throw new VsError('usage', 'The prefix is that of the network; leave it out.');
  return {
    name,
    ...(options.id === undefined ? {} : { id: checkBackup(options.id) }),
    ...(options.at === undefined ? {} : { at: parseMoment(options.at) }),
    ...repositoryOf(options),
    ...(options.as === undefined ? {} : { as: checkName(options.as) }),
    ...where,
    ...(options.host === undefined ? {} : { host: checkHost(options.host) }),
    ...(options.start === undefined ? {} : { start: options.start }),
    ...(options.over ? { over: true } : {}),
  };
}

async function whole(client: Client, args: ReturnType<typeof argsOf>, options: Options): Promise<void> {
  const ask = (more: { dryRun?: true }) =>
    client.request('master', 'orchestrator.backup-restore', { ...args, ...more }, { timeoutMs: 600_000 });
  if (args.over && !options.yes && !options.dryRun) {
    const { state } = await ask({ dryRun: true });
    await confirm(
      `${state.title}\nWhat ${args.name} is now goes into the trash of its host. Go on?`,
      'vs backup restore --over',
    );
  }
  await present(client, await ask(options.dryRun ? { dryRun: true } : {}), options);
}

/** `vs backup restore NAME`. */
export function registerRestore(backup: Command): void {
  backup
    .command('restore')
    .description('bring a vserver back from a backup, or files of it')
    .argument('<name>', 'name of the vserver when it was backed up')
    .option('--at <time>', 'as it was at this moment at the latest, such as 2026-11-27 or "2026-11-27 03:00"')
    .option('--id <id>', 'from this backup of vs backup list (the newest unless told)')
    .option('--repository <name>', 'from this repository')
    .option('--as <name>', 'as another vserver, beside the one there is')
    .option('--address <address>', 'with another address, IPV4[,IPV6] or IPV6')
    .option('--host <host>', 'on this host (where it is or was, else by free resources)')
    .option('--start', 'start it (unless told: when it ran then, and is no other one)')
    .option('--no-start', 'do not start it')
    .option('--over', 'in the place of the one there is, which goes into the trash')
    .option(
      '--path <path>',
      'only this file or directory of it; may be given more than once',
      (path: string, before: string[] | undefined) => [...(before ?? []), path],
    )
    .option('--to <directory>', 'with --path: into this directory here (on the master)')
    .option('--into', 'with --path: back into the vserver, running or stopped (on the master)')
    .option(
      '--aside <directory>',
      'with --into, where the host makes no snapshots: what is there before is kept here',
      '/var/lib/vs-tools/replaced',
    )
    .option('--yes', 'do not ask')
    .option('--dry-run', 'check and show the steps, change nothing')
    .option('--no-follow', 'return as soon as it is begun')
    .option('--json', 'the last state, for programs')
    .addHelpText(
      'after',
      `
Examples:
  vs backup restore web1
  vs backup restore web1 --at "2026-11-27 03:00" --over
  vs backup restore web1 --as web1-old --address 10.60.10.9
  vs backup restore web1 --path /etc/nginx --to /root/nginx-of-yesterday
  vs backup restore web1 --path /etc/nginx --path /etc/hosts --into`,
    )
    .action(async (name: string, options: Options) => {
      const args = argsOf(name, options);
      await withClient((client) =>
        options.path !== undefined
          ? restorePath(client, args, {
              paths: options.path,
              ...(options.to === undefined ? {} : { to: options.to }),
              into: options.into === true,
              yes: options.yes === true,
              aside: options.aside,
              json: options.json === true,
            })
          : whole(client, args, options),
      );
    });
}
