import { resolve } from 'node:path';
import type { Command } from 'commander';
import { VsError } from '../../shared/errors.ts';
import { type Client, withClient } from '../client.ts';
import { checkName } from '../names.ts';
import { table } from '../table.ts';
import { type Where, checkBackup, listOf, newestGood, parseMoment, pick } from './words.ts';

interface Options extends Where {
  at?: string;
  id?: string;
  json?: boolean;
}

/** The backup that a person means by --id or --at; the newest good one. */
const meant = async (client: Client, name: string, { id, at, ...where }: Options) =>
  id === undefined
    ? newestGood(await listOf(client, name, where), name, at === undefined ? undefined : parseMoment(at))
    : pick(client, name, id, where);

/** `vs backup mount`, `umount`. */
export function registerMount(backup: Command): void {
  backup
    .command('mount')
    .description(
      'show the files of a backup at a directory of the master, read-only; without a name: what is mounted',
    )
    .argument('[name]', 'name of the vserver when it was backed up')
    .argument('[directory]', 'an empty one below /mnt, /media or /srv of the master')
    .option('--at <time>', 'as it was at this moment at the latest, such as 2026-11-27 or "2026-11-27 03:00"')
    .option('--id <id>', 'this backup of vs backup list (the newest good one unless told)')
    .option('--repository <name>', 'from this repository')
    .option('--json', 'for programs')
    .addHelpText(
      'after',
      `
Nothing of it can be run or changed, and no device opened. As long as it is mounted the backup
is not removed. A start of the master's machine ends all mounts.

Examples:
  vs backup mount web1 /mnt/web1-of-yesterday
  vs backup mount web1 /mnt/web1 --at 2026-11-27
  vs backup mount`,
    )
    .action(async (name: string | undefined, directory: string | undefined, options: Options) => {
      if (name === undefined)
        return withClient(async (client) => {
          const { mounts } = await client.request('master', 'repository.mounts', {});
          if (options.json) return console.log(JSON.stringify(mounts, null, 2));
          if (mounts.length === 0) return console.log('No backup is mounted.');
          const rows = mounts.map((one) => [one.vserver, one.id, one.repository, one.directory]);
          console.log(table(['VSERVER', 'ID', 'REPOSITORY', 'AT'], rows));
        });
      checkName(name);
      if (directory === undefined)
        throw new VsError('usage', `Name the directory, too: vs backup mount ${name} /mnt/${name}`);
      if (options.at !== undefined && options.id !== undefined)
        throw new VsError('usage', 'Give --at or --id, not both.');
      await withClient(async (client) => {
        const { repository, id } = await meant(client, name, options);
        const args = { repository, vserver: name, id, directory: resolve(directory) };
        const { host } = await client.request('master', 'repository.mount', args);
        if (options.json)
          return console.log(
            JSON.stringify([{ repository, vserver: name, id, directory: args.directory }], null, 2),
          );
        console.log(
          `The files of ${name} as of ${id} are at ${args.directory} on ${host ?? 'the master'}. End it with: vs backup umount ${name} ${id}`,
        );
      });
    });
  backup
    .command('umount')
    .description('end every mount of a backup')
    .argument('<name>', 'name of the vserver when it was backed up')
    .argument('[id]', 'of vs backup mount; all of this vserver unless told')
    .option('--json', 'for programs')
    .addHelpText('after', '\nExamples:\n  vs backup umount web1\n  vs backup umount web1 20261127T030000Z')
    .action(async (name: string, id: string | undefined, options: { json?: boolean }) => {
      checkName(name);
      if (id !== undefined) checkBackup(id);
      await withClient(async (client) => {
        const { mounts } = await client.request('master', 'repository.mounts', {});
        const mine = new Map(
          mounts
            .filter((one) => one.vserver === name && (id === undefined || one.id === id))
            .map((one) => [`${one.repository} ${one.id}`, one] as const),
        );
        if (mine.size === 0)
          throw new VsError(
            'refused',
            `No backup ${id === undefined ? '' : `${id} `}of ${name} is mounted; "vs backup mount" shows those that are.`,
          );
        const unmounted: string[] = [];
        for (const { repository, vserver, id: one } of mine.values()) {
          const done = await client.request('master', 'repository.umount', { repository, vserver, id: one });
          unmounted.push(...done.unmounted);
        }
        console.log(
          options.json
            ? JSON.stringify({ unmounted })
            : unmounted.map((at) => `${at} is unmounted.`).join('\n'),
        );
      });
    });
}
